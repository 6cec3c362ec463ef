-- For each declared filter an index for each declared sort, so that any page is a walk along one of them. (The index of `q` is made by the server.)
CREATE INDEX products_by_name_id ON products (name, id);
CREATE INDEX products_by_price_id ON products (price, id);
CREATE INDEX products_by_stock_id ON products (stock, id);
CREATE INDEX products_by_created_at_id ON products (created_at, id);
CREATE INDEX products_by_category_name_id ON products (category, name, id);
CREATE INDEX products_by_category_price_id ON products (category, price, id);
CREATE INDEX products_by_category_stock_id ON products (category, stock, id);
CREATE INDEX products_by_category_created_at_id ON products (category, created_at, id);
CREATE INDEX products_by_category_id ON products (category, id);
CREATE INDEX products_by_stock_name_id ON products (stock, name, id);
CREATE INDEX products_by_stock_price_id ON products (stock, price, id);
CREATE INDEX products_by_stock_created_at_id ON products (stock, created_at, id);
CREATE INDEX products_by_discontinued_at_name_id ON products (discontinued_at, name, id);
CREATE INDEX products_by_discontinued_at_price_id ON products (discontinued_at, price, id);
CREATE INDEX products_by_discontinued_at_stock_id ON products (discontinued_at, stock, id);
CREATE INDEX products_by_discontinued_at_created_at_id ON products (discontinued_at, created_at, id);
CREATE INDEX products_by_discontinued_at_id ON products (discontinued_at, id);

CREATE INDEX customers_by_name_id ON customers (name, id);
CREATE INDEX customers_by_created_at_id ON customers (created_at, id);
CREATE INDEX customers_by_email_name_id ON customers (email, name, id);
CREATE INDEX customers_by_email_created_at_id ON customers (email, created_at, id);
CREATE INDEX customers_by_email_id ON customers (email, id);
CREATE INDEX customers_by_country_name_id ON customers (country, name, id);
CREATE INDEX customers_by_country_created_at_id ON customers (country, created_at, id);
CREATE INDEX customers_by_country_id ON customers (country, id);

CREATE INDEX orders_by_created_at_id ON orders (created_at, id);
CREATE INDEX orders_by_total_id ON orders (total, id);
CREATE INDEX orders_by_status_id ON orders (status, id);
CREATE INDEX orders_by_status_created_at_id ON orders (status, created_at, id);
CREATE INDEX orders_by_status_total_id ON orders (status, total, id);
CREATE INDEX orders_by_customer_id_created_at_id ON orders (customer_id, created_at, id);
CREATE INDEX orders_by_customer_id_total_id ON orders (customer_id, total, id);
CREATE INDEX orders_by_customer_id_status_created_at_id ON orders (customer_id, status, created_at, id);
CREATE INDEX orders_by_customer_id_status_total_id ON orders (customer_id, status, total, id);
CREATE INDEX orders_by_customer_id_status_id ON orders (customer_id, status, id);
CREATE INDEX orders_by_customer_id_id ON orders (customer_id, id);

CREATE INDEX order_items_by_line_id ON order_items (line, id);
CREATE INDEX order_items_by_order_id_line_id ON order_items (order_id, line, id);
CREATE INDEX order_items_by_order_id_id ON order_items (order_id, id);
CREATE INDEX order_items_by_product_id_line_id ON order_items (product_id, line, id);
CREATE INDEX order_items_by_product_id_id ON order_items (product_id, id);

CREATE INDEX payments_by_created_at_id ON payments (created_at, id);
CREATE INDEX payments_by_amount_id ON payments (amount, id);
CREATE INDEX payments_by_order_id_created_at_id ON payments (order_id, created_at, id);
CREATE INDEX payments_by_order_id_amount_id ON payments (order_id, amount, id);
CREATE INDEX payments_by_order_id_id ON payments (order_id, id);
CREATE INDEX payments_by_status_created_at_id ON payments (status, created_at, id);
CREATE INDEX payments_by_status_amount_id ON payments (status, amount, id);
CREATE INDEX payments_by_status_id ON payments (status, id);
CREATE INDEX payments_by_method_created_at_id ON payments (method, created_at, id);
CREATE INDEX payments_by_method_amount_id ON payments (method, amount, id);
CREATE INDEX payments_by_method_id ON payments (method, id);
