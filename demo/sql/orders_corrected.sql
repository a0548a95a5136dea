-- What went out wrong is put right when the shop plays on, as a change of that moment.
with corrected as (

    delete from demo.spoiled
    returning order_id

)

update {shop}.orders set
    total_amount = -total_amount,
    updated_at = {previous} + interval '1 second'
from corrected
where orders.order_id = corrected.order_id
