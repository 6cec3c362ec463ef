-- The tables of shop.yaml. Times and identifiers are text; prices are exact decimals: text that is compared by value.
CREATE TABLE products (
  row_number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  price TEXT NOT NULL COLLATE decimal,
  stock INTEGER NOT NULL DEFAULT 0,
  description TEXT,
  discontinued_at TEXT,
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE customers (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE,
  country TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
  id TEXT NOT NULL PRIMARY KEY,
  customer_id TEXT NOT NULL REFERENCES customers (id),
  status TEXT NOT NULL DEFAULT 'open',
  total TEXT NOT NULL DEFAULT '0.00' COLLATE decimal,
  note TEXT,
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE order_items (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  product_id TEXT NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL,
  price TEXT NOT NULL COLLATE decimal,
  UNIQUE (order_id, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE payments (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES orders (id),  -- an order that was paid for cannot be removed
  method TEXT NOT NULL,
  amount TEXT NOT NULL COLLATE decimal,
  status TEXT NOT NULL DEFAULT 'pending',
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
