import java.sql.*;
import java.util.*;

/** The same session through pgJDBC: prints what it finds, to be compared. */
public class Session {
    static void show(ResultSet rows, String... columns) throws SQLException {
        while (rows.next()) {
            List<String> line = new ArrayList<>();
            for (String column : columns) line.add(rows.getString(column));
            System.out.println(String.join("|", line.stream().map(String::valueOf).toList()));
        }
    }

    public static void main(String[] given) throws Exception {
        try (Connection connection = DriverManager.getConnection(given[0])) {
            connection.setReadOnly(true);
            DatabaseMetaData about = connection.getMetaData();
            System.out.println(about.getDatabaseProductName() + " " + about.getDatabaseMajorVersion());
            show(about.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS");
            show(about.getColumns(null, "public", "sales", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "ORDINAL_POSITION");
            show(about.getPrimaryKeys(null, "public", "sales"), "COLUMN_NAME");
            show(about.getIndexInfo(null, "public", "sales", false, false), "INDEX_NAME");
            show(about.getImportedKeys(null, "public", "sales"), "PKCOLUMN_NAME");
            show(about.getSchemas(null, "public"), "TABLE_SCHEM");
            try (PreparedStatement asked = connection.prepareStatement("SELECT * FROM sales WHERE shop = ? AND orders > ? AND hour >= ? ORDER BY hour")) {
                for (int n = 0; n < 7; n++) {  // from the fifth on it is a named statement, in binary
                    asked.setString(1, "shop1");
                    asked.setInt(2, 1);
                    asked.setTimestamp(3, Timestamp.from(java.time.Instant.parse("2024-05-01T01:00:00Z")));
                    show(asked.executeQuery(), "hour", "shop", "orders", "amount", "mean", "latest");
                }
            }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(4);
                show(statement.executeQuery("SELECT shop, hour FROM sales ORDER BY shop, hour"), "shop", "hour");
            }
            connection.commit();
            try (PreparedStatement asked = connection.prepareStatement("SELECT count(*) AS n FROM sales WHERE shop = ANY (?)")) {
                asked.setArray(1, connection.createArrayOf("text", new String[] {"shop0", "shop2"}));
                show(asked.executeQuery(), "n");
            }
            connection.rollback();
            try (Statement statement = connection.createStatement()) {
                statement.execute("SELECT nope FROM sales");
            } catch (SQLException error) {
                System.out.println(error.getSQLState());
            }
            connection.rollback();
            org.postgresql.copy.CopyManager copies = connection.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
            java.io.StringWriter out = new java.io.StringWriter();
            System.out.println(copies.copyOut("COPY (SELECT shop, orders FROM sales ORDER BY 1, 2) TO STDOUT CSV", out));
            System.out.print(out);
        }
    }
}
