-- Something to page through: 500 products, 300 customers, 5,000 orders of one to four items, and their payments. Made by arithmetic alone, so
-- that every machine has the same rows.
WITH RECURSIVE
  n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500),
  made (position, word) AS (VALUES (0, 'Copper'), (1, 'Oak'), (2, 'Steel'), (3, 'Linen'), (4, 'Clay'), (5, 'Glass'), (6, 'Wool'), (7, 'Slate'), (8, 'Cedar'), (9, 'Brass')),
  thing (position, word, category) AS (VALUES (0, 'kettle', 'kitchen'), (1, 'bowl', 'kitchen'), (2, 'trowel', 'garden'), (3, 'planter', 'garden'), (4, 'lamp', 'office'),
    (5, 'tray', 'office'), (6, 'flask', 'outdoor'), (7, 'lantern', 'outdoor'), (8, 'puzzle', 'toys'), (9, 'kite', 'toys'))
INSERT INTO products (id, name, category, price, stock, description, discontinued_at, created_at)
SELECT printf('0192f0c1-0001-7000-8000-%012x', i),
       made.word || ' ' || thing.word || ' ' || (1 + i / 100),
       category,
       printf('%d.%02d', 3 + i * 7919 % 190, i * 31 % 100),
       i * 104729 % 250,
       CASE WHEN made.word = 'Oak' THEN 'An ' ELSE 'A ' END || lower(made.word) || ' ' || thing.word || ', number ' || i || ' of the catalogue.',
       CASE WHEN i % 17 = 0 THEN strftime('%Y-%m-%dT%H:%M:%SZ', 1764547200 + i * 3600, 'unixepoch') END,
       strftime('%Y-%m-%dT%H:%M:%SZ', 1735689600 + i * 40000, 'unixepoch')
FROM n JOIN made ON made.position = i % 10 JOIN thing ON thing.position = i / 10 % 10;

WITH RECURSIVE
  n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300),
  first (position, word) AS (VALUES (0, 'Ada'), (1, 'Blaise'), (2, 'Carla'), (3, 'Dmitri'), (4, 'Elena'), (5, 'Farid'), (6, 'Grete'), (7, 'Hugo'), (8, 'Ines'), (9, 'Jun'), (10, 'Kofi'), (11, 'Lena')),
  last (position, word) AS (VALUES (0, 'Berg'), (1, 'Costa'), (2, 'Dahl'), (3, 'Eriksen'), (4, 'Farkas'), (5, 'Garcia'), (6, 'Haas'), (7, 'Ito'), (8, 'Jansen'), (9, 'Kim'), (10, 'Lind'), (11, 'Moreau'), (12, 'Novak')),
  land (position, code) AS (VALUES (0, 'DE'), (1, 'FR'), (2, 'PT'), (3, 'SE'), (4, 'JP'), (5, 'US'), (6, 'GH'))
INSERT INTO customers (id, name, email, country, created_at)
SELECT printf('0192f0c1-0002-7000-8000-%012x', i),
       first.word || ' ' || last.word,
       lower(first.word || '.' || last.word) || '.' || i || '@example.com',
       code,
       strftime('%Y-%m-%dT%H:%M:%SZ', 1735689600 + i * 60000, 'unixepoch')
FROM n JOIN first ON first.position = i % 12 JOIN last ON last.position = i % 13 JOIN land ON land.position = i % 7;

WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO orders (id, customer_id, status, note, created_at)
SELECT printf('0192f0c1-0003-7000-8000-%012x', i),
       printf('0192f0c1-0002-7000-8000-%012x', 1 + i * 7907 % 300),
       CASE WHEN i > 4950 THEN 'open' WHEN i % 23 = 0 THEN 'cancelled' WHEN i % 5 = 0 THEN 'paid' ELSE 'shipped' END,
       CASE WHEN i % 11 = 0 THEN 'Please ring twice.' END,
       strftime('%Y-%m-%dT%H:%M:%SZ', 1740000000 + i / 2 * 7200, 'unixepoch')
FROM n;

WITH RECURSIVE
  n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000),
  line (l) AS (VALUES (1), (2), (3), (4))
INSERT INTO order_items (id, order_id, line, product_id, quantity, price)
SELECT printf('0192f0c1-0004-7000-8000-%012x', i * 4 + l),
       printf('0192f0c1-0003-7000-8000-%012x', i),
       l,
       products.id,
       1 + (i + l) % 3,
       products.price
FROM n JOIN line ON l <= 1 + i % 4
JOIN products ON products.id = printf('0192f0c1-0001-7000-8000-%012x', 1 + (i * 13 + l * 101) % 500);

UPDATE orders SET total = (
  SELECT printf('%d.%02d', cents / 100, cents % 100)
  FROM (SELECT sum(quantity * CAST(round(price * 100) AS INTEGER)) AS cents FROM order_items WHERE order_id = orders.id));

INSERT INTO payments (id, order_id, method, amount, status, created_at)
SELECT '0192f0c1-0005' || substr(id, 14),
       id,
       CASE abs(unicode(substr(id, -1))) % 3 WHEN 0 THEN 'transfer' ELSE 'card' END,
       total,
       CASE status WHEN 'cancelled' THEN 'failed' ELSE 'settled' END,
       strftime('%Y-%m-%dT%H:%M:%SZ', unixepoch(created_at) + 600, 'unixepoch')
FROM orders WHERE status <> 'open';
