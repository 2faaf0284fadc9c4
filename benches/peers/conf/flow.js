// flow.js PORT SERVICE SERVICE SERVICE: the service that a team would write to join three answers.
const fastify = require('fastify')({ logger: false });
const { Pool } = require('undici');

const [port, ...services] = process.argv.slice(2).map(Number);
const pools = services.map((it) => new Pool(`http://127.0.0.1:${it}`, { connections: 128, pipelining: 1 }));

async function part(pool) {
  const answer = await pool.request({ path: '/2k', method: 'GET' });
  if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`);
  return answer.body.json();
}

fastify.get('/flow', async () => {
  const [a, b, c] = await Promise.all(pools.map(part));
  return { a, b, c };
});
fastify.listen({ port, host: '127.0.0.1' });
