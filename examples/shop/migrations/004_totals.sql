-- What an order costs follows from its items, whoever writes them: no client says it.
CREATE TRIGGER order_items_insert_total AFTER INSERT ON order_items BEGIN
  UPDATE orders SET total = (
    SELECT printf('%d.%02d', cents / 100, cents % 100)
    FROM (SELECT coalesce(sum(quantity * CAST(round(price * 100) AS INTEGER)), 0) AS cents FROM order_items WHERE order_id = new.order_id))
  WHERE id = new.order_id;
END;
CREATE TRIGGER order_items_delete_total AFTER DELETE ON order_items BEGIN
  UPDATE orders SET total = (
    SELECT printf('%d.%02d', cents / 100, cents % 100)
    FROM (SELECT coalesce(sum(quantity * CAST(round(price * 100) AS INTEGER)), 0) AS cents FROM order_items WHERE order_id = old.order_id))
  WHERE id = old.order_id;
END;
CREATE TRIGGER order_items_update_total AFTER UPDATE OF order_id, quantity, price ON order_items BEGIN
  UPDATE orders SET total = (
    SELECT printf('%d.%02d', cents / 100, cents % 100)
    FROM (SELECT coalesce(sum(quantity * CAST(round(price * 100) AS INTEGER)), 0) AS cents FROM order_items WHERE order_id = orders.id))
  WHERE id IN (old.order_id, new.order_id);
END;
