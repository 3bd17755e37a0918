// The same session through pgx and lib/pq: prints what it finds, to be compared.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/lib/pq"
)

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func main() {
	url, ctx := os.Args[1], context.Background()
	conn, err := pgx.Connect(ctx, url)
	check(err)
	rows, err := conn.Query(ctx, "SELECT hour, shop, orders, mean FROM sales WHERE shop = $1 AND hour >= $2 ORDER BY hour", "shop1", time.Date(2024, 5, 1, 1, 0, 0, 0, time.UTC))
	check(err)
	for rows.Next() {
		values, err := rows.Values()
		check(err)
		fmt.Println(values...)
	}
	check(rows.Err())
	var count int64
	check(conn.QueryRow(ctx, "SELECT count(*) FROM sales WHERE orders = ANY($1)", []int64{20, 2}).Scan(&count))
	fmt.Println(count)
	batch := &pgx.Batch{}
	batch.Queue("SELECT count(*) FROM sales")
	batch.Queue("SELECT max(orders) FROM sales WHERE shop = $1", "shop0")
	results := conn.SendBatch(ctx, batch)
	for range 2 {
		check(results.QueryRow().Scan(&count))
		fmt.Println(count)
	}
	check(results.Close())
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	check(err)
	check(tx.QueryRow(ctx, "SELECT sum(orders)::int8 FROM sales").Scan(&count))
	check(tx.Commit(ctx))
	fmt.Println(count)
	check(conn.Close(ctx))

	db, err := sql.Open("postgres", url+"?sslmode=disable")
	check(err)
	found, err := db.Query("SELECT shop, sum(orders)::int8 FROM sales WHERE orders > $1 GROUP BY shop ORDER BY shop", 1)
	check(err)
	for found.Next() {
		var shop string
		check(found.Scan(&shop, &count))
		fmt.Println(shop, count)
	}
	check(found.Err())
	_, err = db.Exec("SELECT nope FROM sales")
	fmt.Println(err != nil)
	check(db.Close())
}
