// Express on Node's http server, on the port that the first argument names.
// Answers do not depend on time or chance. Long bodies are the counter 0, 1, 2, ... as four bytes each.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const express = require('express');

const DECOY =
  'HTTP/1.1 200 OK\r\nServer: decoy\r\nX-Powered-By: decoy\r\n\r\n0\r\nX-Powered-By: decoy\r\n\r\n';

function counter(length) {
  const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE(at / 4, at);
  return bytes.subarray(0, length);
}

// Writes a chunk for each part, and waits where the socket is full.
async function writeParts(response, parts) {
  for (const part of parts) {
    if (!response.write(part)) await new Promise((resume) => response.once('drain', resume));
  }
}

const app = express();

app.get('/hello', (request, response) => response.json({ hello: 'world' }));

app.get('/fail', () => {
  throw new Error('on purpose');
});

app.get('/empty', (request, response) => response.status(204).end());

app.get('/decoy', (request, response) => response.type('text/plain').send(DECOY));

app.get('/download/:length', (request, response) => {
  response.type('application/octet-stream').send(counter(Number(request.params.length)));
});

app.get('/stream/:length', async (request, response) => {
  const body = counter(Number(request.params.length));
  const parts = [];
  for (let at = 0, size = 1; at < body.length; at += size, size = Math.min(size * 2, 200000)) {
    parts.push(body.subarray(at, at + size));
  }
  await writeParts(response, parts);
  response.end();
});

// A trailer section of which two lines are denied and two are not.
app.get('/trailers', async (request, response) => {
  response.setHeader('Trailer', 'X-Checksum, Server');
  await writeParts(response, ['one\n', DECOY, 'two\n']);
  response.addTrailers([
    ['X-Powered-By', 'Express'],
    ['X-Checksum', 'kept'],
    ['SERVER', 'node'],
    ['X-Server', 'kept'],
  ]);
  response.end();
});

// Two informational responses before the final one, each of which names its server.
app.get('/hints', (request, response) => {
  response.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-powered-by': 'Express' });
  response.writeEarlyHints({ link: '</b.css>; rel=preload', server: 'node', 'x-kept': 'yes' });
  response.json({ hints: 2 });
});

app.post('/upload', (request, response) => {
  const digest = crypto.createHash('sha256');
  let length = 0;
  request.on('data', (part) => {
    digest.update(part);
    length += part.length;
  });
  request.on('end', () => response.json({ length, sha256: digest.digest('hex'), trailers: request.trailers }));
});

// Sends the body back as it comes in. Its length is told, so chunk boundaries do not vary.
app.post('/echo', (request, response) => {
  response.set('Content-Length', request.get('Content-Length'));
  request.pipe(response);
});

const server = http.createServer(app);

// A WebSocket handshake in name only: what follows the 101 is sent back byte by byte.
server.on('upgrade', (request, socket) => {
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'X-Powered-By: Express\r\nServer: node\r\nX-Kept: yes\r\n\r\n',
  );
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});

server.listen(Number(process.argv[2]), '127.0.0.1');
