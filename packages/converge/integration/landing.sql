-- What a loader provides: append-only tables, and a ledger with positions that grow in the order in which loads commit.
create schema landing;

create table landing.loads (
    load_id bigint primary key,
    position bigint not null unique,
    finished_at timestamptz not null default now()
);

create table landing.orders (
    order_id text,
    country text,
    placed_at timestamptz,
    updated_at timestamptz,
    _op text not null default 'u',
    _load_id bigint not null,
    _row bigint not null,
    primary key (_load_id, _row)
);

create table landing.items (
    order_id text,
    line_number integer,
    amount numeric,
    updated_at timestamptz,
    _op text not null default 'u',
    _load_id bigint not null,
    _row bigint not null,
    primary key (_load_id, _row)
);
