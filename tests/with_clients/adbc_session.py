"""The same session through ADBC's driver: prints what it finds, to be compared."""

import sys

from adbc_driver_postgresql import dbapi

with dbapi.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT hour, shop, orders, mean FROM sales ORDER BY hour, shop")
    table = cursor.fetch_arrow_table()
    print(table.schema.names, [str(field.type) for field in table.schema])
    print(table.to_pylist())
    cursor.execute("SELECT count(*) AS n FROM sales WHERE shop = $1", ("shop1",))
    print(cursor.fetchall())
