// Bun's own server on the port that the first argument names.
// It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.

const seen = [];

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request) {
    const path = new URL(request.url).pathname;
    const asked = `${request.method} ${path}`;
    if (path !== '/seen') seen.push(asked);
    const body = path === '/seen' ? seen.join('\n') : 'x'.repeat(600);
    return new Response(body, {
      headers: { 'Content-Type': 'text/plain', 'X-Powered-By': 'Bun', 'X-Seen': asked.slice(0, 100) },
    });
  },
});
