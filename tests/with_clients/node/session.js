// The same session through node-postgres: prints what it finds, to be compared.
const { Client } = require("pg");
const Cursor = require("pg-cursor");

async function main() {
  const client = new Client({ connectionString: process.argv[2] });
  await client.connect();
  const show = (found) => console.log(JSON.stringify(found.rows));
  show(await client.query("SELECT hour, shop, orders, amount, mean FROM sales WHERE shop = $1 AND orders > $2 ORDER BY hour", ["shop1", 1]));
  show(await client.query("SELECT count(*) AS n FROM sales WHERE shop = ANY($1)", [["shop0", "shop2"]]));
  show(await client.query({ name: "named", text: "SELECT max(orders) AS n FROM sales WHERE hour >= $1", values: [new Date("2024-05-01T01:00:00Z")] }));
  await client.query("BEGIN");
  const cursor = client.query(new Cursor("SELECT shop, hour FROM sales ORDER BY shop, hour"));
  for (let rows = await cursor.read(4); rows.length; rows = await cursor.read(4)) console.log(JSON.stringify(rows));
  await cursor.close();
  await client.query("COMMIT");
  await client.query("SELECT nope FROM sales").catch((error) => console.log(error.code));
  await client.end();
}

main();
