-- The dice and the rules that several records share. Everything in the shop is a function of a record's number,
-- the shop's seed and a purpose, so any day's state can be computed without playing the days before.
-- All are single expressions, so that PostgreSQL inlines them; `stable` where a time zone could matter.
create schema demo;

-- A draw in [0, 1), always the same for the same key and purpose.
create function demo.chance(key bigint, purpose text) returns double precision language sql immutable
return (hashint8extended(key, hashtextextended(purpose, {seed})) & 4503599627370495)::double precision
    / 4503599627370496;

-- One of the words. A word that stands there twice comes twice as often.
create function demo.pick(draw double precision, words text) returns text language sql immutable
return (string_to_array(words, ' '))[1 + floor(draw * cardinality(string_to_array(words, ' ')))::integer];

create function demo.one_of(draw double precision, choices text[]) returns text language sql immutable
return choices[1 + floor(draw * cardinality(choices))::integer];

-- A number of hours between two, and the moment so many hours after another.
create function demo.hours(draw double precision, at_least numeric, at_most numeric)
returns double precision language sql immutable
return at_least + (at_most - at_least) * draw;

create function demo.after(at timestamptz, hours double precision) returns timestamptz language sql stable
return at + interval '1 second' * floor(3600 * hours);

-- A moment of a day, for a fraction of that day's business: quiet nights, busy noons.
create function demo.moment(day date, fraction double precision) returns timestamptz language sql stable
return day::timestamptz + interval '1 second' * floor(86400 * (fraction + 0.11 * sin(2 * pi() * fraction)));

-- An event, if it has happened by then. It names `at` once: twice, and PostgreSQL would not inline it.
create function demo.seen(at timestamptz, until timestamptz) returns timestamptz language sql immutable
return nullif(least(at, until), until);

create function demo.iso(at timestamptz) returns text language sql stable
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- What is wrong with a record, if anything: one of the kinds.
create function demo.fault(key bigint, purpose text, kinds text, odds double precision default 1)
returns text language sql immutable
return case when demo.chance(key, purpose || ' is wrong') < odds * {error_rate}
    then demo.pick(demo.chance(key, purpose || ' is wrong how'), kinds) end;

-- When the source puts it right: half of them, some days later.
create function demo.fixed_at(key bigint, purpose text, at timestamptz) returns timestamptz language sql stable
return case when demo.chance(key, purpose || ' is fixed') < 0.5
    then demo.after(at, demo.hours(demo.chance(key, purpose || ' is fixed when'), 36, 132)) end;

create function demo.error_rate() returns double precision language sql immutable
return {error_rate}::double precision;

create function demo.currency_of(country text) returns text language sql immutable
return case
    when country in ('DE', 'FR', 'NL', 'ES') then 'EUR'
    when country = 'GB' then 'GBP'
    when country = 'BR' then 'BRL'
    when country = 'JP' then 'JPY'
    when country = 'AU' then 'AUD'
    when country = 'CA' then 'CAD'
    else 'USD'
end;

create function demo.region_of(country text) returns text language sql immutable
return case
    when country in ('DE', 'FR', 'GB', 'NL', 'ES') then 'eu'
    when country in ('JP', 'AU', 'SG') then 'apac'
    else 'us'
end;

-- The shop's own price lists are rough: so much of a currency for a dollar.
create function demo.per_dollar(currency text) returns numeric language sql immutable
return case currency
    when 'EUR' then 0.92 when 'GBP' then 0.79 when 'BRL' then 5.40 when 'JPY' then 150 when 'AUD' then 1.52
    when 'CAD' then 1.36 else 1
end;

-- Yen have no cents.
create function demo.money(amount numeric, currency text) returns numeric language sql immutable
return round(amount, case when currency = 'JPY' then 0 else 2 end);

-- Products: a price holds for 45 days; each 31st product may be taken out of the catalogue for good.
create function demo.price_version(product bigint, day_index integer) returns bigint language sql immutable
return (day_index + product % 45) / 45;

create function demo.price(product bigint, day_index integer) returns numeric language sql immutable
return round((
    5 * exp(5.5 * demo.chance(product, 'price') ^ 3)
    * (0.85 + 0.3 * demo.chance(product * 1000 + demo.price_version(product, day_index), 'price change'))
)::numeric, 2);

create function demo.product_born(product bigint) returns integer language sql immutable
return case when product <= {products} then -1 else (product - {products} + {growth} - 1) / {growth} end;

create function demo.product_gone(product bigint) returns integer language sql immutable
return case when product % 31 = 0 and demo.chance(product, 'gone') < 0.6
    then demo.product_born(product) + 6 + floor(90 * demo.chance(product, 'gone when'))::integer end;

create function demo.product_id(product bigint) returns text language sql immutable
return 'P-' || lpad(product::text, 6, '0');

-- The product of an order's line, from those in the catalogue on that day; some sell far better than others.
create function demo.product_sold(key bigint, products bigint) returns bigint language sql immutable
return 1 + floor(products * demo.chance(key, 'product') ^ 2)::bigint;

create function demo.still_sold(product bigint, day_index integer) returns bigint language sql immutable
return case when demo.product_gone(product) <= day_index then product - 1 else product end;

-- What a reader by `updated_at` can't see. A canceled order may be deleted outright, with its lines and payments: on that
-- day, when nothing more can happen to it (sql/lives.sql).
create function demo.order_gone(key bigint, day date) returns date language sql immutable
return case when demo.chance(key, 'fate') >= 0.003 and demo.chance(key, 'fate') < 0.053
    and demo.chance(key, 'gone') < demo.error_rate()
    then day + 8 + floor(12 * demo.chance(key, 'gone when'))::integer end;

-- A bank's file corrects how an order was paid: on that day, and whoever reads it in forgets `updated_at`.
create function demo.payment_corrected(key bigint, day date) returns date language sql immutable
return case when demo.chance(key, 'payment corrected') < demo.error_rate() / 20
    then day + 3 + floor(5 * demo.chance(key, 'payment corrected when'))::integer end;

-- The transaction of an order may be open for hours: only the next day sees it.
create function demo.is_committed_late(key bigint) returns boolean language sql immutable
return key % 3 = 0 and demo.chance(key, 'committed late') < demo.error_rate() / 10;

-- Customers: each changes something every 180 days, by turns the e-mail and the address; each second move is abroad.
create function demo.customer_version(customer bigint, day_index integer) returns bigint language sql immutable
return (day_index + customer % 180) / 180;

create function demo.customer_country(customer bigint, version bigint) returns text language sql immutable
return demo.pick(
    demo.chance(customer * 64 + (version + (customer + 1) % 4) / 4, 'country'),
    'US US US US US US US CA CA BR BR BR MX DE DE DE FR FR GB GB NL ES ES JP JP AU SG'
);

create function demo.buyer_country(buyer bigint) returns text language sql immutable
return demo.pick(demo.chance(buyer, 'buyer country'), 'US US US US US US DE DE FR GB GB JP AU');

create function demo.full_name(key bigint) returns text language sql immutable
return demo.pick(
    demo.chance(key, 'first name'),
    'Ana Bruno Carla Diego Emma Felix Grace Hugo Inês Jack Kenji Lena Mateo Nora Oliver Paula Quentin Rosa Sven Tessa'
) || ' ' || demo.pick(
    demo.chance(key, 'last name'),
    'Almeida Brown Costa Dubois Evans Fischer García Hughes Ito Jansen Kelly López Müller Nakamura O''Brien Pérez Souza'
);
