// Express 4 with method-override, as its README shows, on the port that the first argument names.
// It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.
'use strict';

const express = require('express');
const methodOverride = require('method-override');

const seen = [];
const app = express();
app.use(methodOverride());

app.get('/seen', (request, response) => response.type('text/plain').send(seen.join('\n')));

app.all('*', (request, response) => {
  const asked = `${request.originalMethod || request.method} ${request.path}`;
  seen.push(asked);
  response.set('X-Seen', asked.slice(0, 100)).type('text/plain').send('x'.repeat(600));
});

const server = app.listen(Number(process.argv[2]), '127.0.0.1');
// A client that waits for a body that does not come waits until this.
server.keepAliveTimeout = 1000;
