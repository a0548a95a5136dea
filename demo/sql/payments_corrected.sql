-- How an order was paid is corrected, without a word in `updated_at`: a reader by it sees the correction when, if ever,
-- something else happens to the payment.
update {shop}.payments set method = 'bank_transfer'
from demo.days
cross join lateral generate_series(0, days.web - 1) as step (position)
-- Within 8 days of the order's creation.
where days.day >= {previous}::date - 8
    and demo.payment_corrected(3 * (days.first_web + step.position), days.day) between {previous}::date and {last_day}
    and payments.payment_id = (days.first_web + step.position) * 10 + 1
