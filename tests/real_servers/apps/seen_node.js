// Node's http server with its lenient parser, on the port that the first argument names.
// It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.
'use strict';

const http = require('node:http');

const seen = [];

const server = http.createServer({ insecureHTTPParser: true }, (request, response) => {
  const asked = `${request.method} ${request.url}`;
  if (request.url !== '/seen') seen.push(asked);
  const body = request.url === '/seen' ? seen.join('\n') : 'x'.repeat(600);
  // The body of the request is left unread.
  response.writeHead(200, {
    'Content-Type': 'text/plain',
    'Content-Length': Buffer.byteLength(body),
    'X-Powered-By': 'Node',
    'X-Seen': asked.slice(0, 100),
  });
  response.end(body);
});

server.listen(Number(process.argv[2]), '127.0.0.1');
