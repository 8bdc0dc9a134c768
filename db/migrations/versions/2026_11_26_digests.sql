-- As db/order_digest.py has it by now; one that stays older would cost a refresh time, no more.
UPDATE public.customer_metrics AS m
SET orders_digest = o.digest
FROM (
    SELECT customer_id, bit_xor(hashint8extended(id, hashint8extended((amount * 100)::bigint, timestamp_hash_extended(
        placed_at AT TIME ZONE 'UTC', hashtextextended(currency, 0) # (placed_on - DATE '2000-01-01')::bigint))))
        AS digest
    FROM public.orders
    GROUP BY customer_id
) AS o
WHERE o.customer_id = m.customer_id AND o.digest <> m.orders_digest;
