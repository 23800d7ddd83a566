// Node's http server, on the port that the first argument names. It tells who it takes the client to be, by the first X-Forwarded-For line alone, as
// Go's Header.Get does.
'use strict';

const http = require('node:http');

const first = (request, name) => (request.headersDistinct[name] || ['none'])[0];

const server = http.createServer((request, response) => {
  const body = `${first(request, 'x-forwarded-for')}|${first(request, 'x-forwarded-host')}`;
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(body), Server: 'node' });
  response.end(body);
});

server.listen(Number(process.argv[2]), '127.0.0.1');
