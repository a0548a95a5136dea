-- The demo's own tables. Each of the shop's stands in the file that fills it; none has foreign keys: real sources hold
-- records that break them.
create schema if not exists {shop};

-- How far the shop has been played, and what it was made with: one row.
create table demo.clock (
    day date not null,
    size numeric not null,
    seed integer not null,
    start date not null,
    error_rate numeric not null
);

-- Which numbers each day hands out: the only thing that a day's records need to know of the days before.
-- The eve of the first day (index -1) brings the customers and products that the shop opens with.
create table demo.days (
    day date primary key,
    index integer not null,
    products bigint not null,
    first_customer bigint not null,
    customers bigint not null,
    first_web bigint not null,
    web bigint not null,
    first_marketplace bigint not null,
    marketplace bigint not null,
    first_store bigint not null,
    store bigint not null
);

create index days_by_first_customer on demo.days (first_customer);

-- What the two APIs answer: the record as it is sent, found by `updated_at`. A variant over 0 is sent besides.
create table demo.marketplace_orders (
    number bigint,
    variant integer,
    region text not null,
    updated_at timestamptz not null,
    payload json not null,
    primary key (number, variant)
);

create table demo.reviews (
    number bigint,
    variant integer,
    updated_at timestamptz not null,
    payload json not null,
    primary key (number, variant)
);

create index marketplace_orders_by_updated_at on demo.marketplace_orders (region, updated_at, number, variant);
create index reviews_by_updated_at on demo.reviews (updated_at, number, variant);

create table demo.places (
    country text,
    place integer,
    city text not null,
    region text not null,
    postal_code text not null,
    primary key (country, place)
);

insert into demo.places values
('US', 0, 'Chicago', 'IL', '606'), ('US', 1, 'Austin', 'TX', '787'), ('US', 2, 'Boston', 'MA', '021'),
('CA', 0, 'Toronto', 'ON', 'M5V '), ('CA', 1, 'Montréal', 'QC', 'H2X '), ('CA', 2, 'Vancouver', 'BC', 'V6B '),
('BR', 0, 'São Paulo', 'SP', '010'), ('BR', 1, 'Rio de Janeiro', 'RJ', '200'), ('BR', 2, 'Recife', 'PE', '500'),
('MX', 0, 'Ciudad de México', 'CDMX', '060'), ('MX', 1, 'Puebla', 'PUE', '720'), ('MX', 2, 'Mérida', 'YUC', '970'),
('DE', 0, 'Berlin', 'BE', '101'), ('DE', 1, 'München', 'BY', '803'), ('DE', 2, 'Köln', 'NW', '506'),
('FR', 0, 'Paris', 'IDF', '750'), ('FR', 1, 'Lyon', 'ARA', '690'), ('FR', 2, 'Nantes', 'PDL', '440'),
('GB', 0, 'London', 'ENG', 'E1 '), ('GB', 1, 'Leeds', 'ENG', 'LS1 '), ('GB', 2, 'Glasgow', 'SCT', 'G2 '),
('NL', 0, 'Utrecht', 'UT', '35'), ('NL', 1, 'Rotterdam', 'ZH', '30'), ('NL', 2, '''s-Hertogenbosch', 'NB', '52'),
('ES', 0, 'Madrid', 'MD', '280'), ('ES', 1, 'Sevilla', 'AN', '410'), ('ES', 2, 'A Coruña', 'GA', '150'),
('JP', 0, 'Tokyo', '13', '100-'), ('JP', 1, 'Osaka', '27', '530-'), ('JP', 2, 'Sapporo', '01', '060-'),
('AU', 0, 'Sydney', 'NSW', '20'), ('AU', 1, 'Melbourne', 'VIC', '30'), ('AU', 2, 'Perth', 'WA', '60'),
('SG', 0, 'Singapore', 'SG', '01'), ('SG', 1, 'Singapore', 'SG', '23'), ('SG', 2, 'Singapore', 'SG', '54');

-- What reviewers say. A mood is 1 (bad), 2 (so-so) or 3 (good).
create table demo.phrases (
    language text,
    mood integer,
    titles text[] not null,
    openings text[] not null,
    endings text[] not null,
    primary key (language, mood)
);

insert into demo.phrases values
(
    'en', 1, array['Bad', 'Disappointed', 'Not good', 'Avoid'],
    array['Not good at all', 'Terrible quality', 'It broke after two days', 'I am not happy with it', 'Awful'],
    array['I want a refund', 'would not buy again', 'the box was damaged', 'a waste of money', 'never again']
),
(
    'en', 2, array['Okay', 'So-so', 'Average'],
    array['It is okay', 'Average quality', 'Neither good nor bad', 'It does the job'],
    array['delivery took a while', 'a bit expensive', 'could be better', 'fine for the price']
),
(
    'en', 3, array['Good', 'Great', 'Not bad at all', 'Love it'],
    array['Very good', 'Excellent quality', 'Great value', 'Not bad at all', 'Works perfectly'],
    array['I love it', 'fast delivery', 'would buy again', 'highly recommended', 'no complaints']
),
(
    'pt', 1, array['Ruim', 'Não gostei', 'Péssimo'],
    array['Não é bom', 'Péssima qualidade', 'Chegou quebrado', 'Muito ruim'],
    array['quero meu dinheiro de volta', 'não recomendo', 'nunca mais compro', 'atrasou muito']
),
(
    'pt', 2, array['Regular', 'Mais ou menos'],
    array['É razoável', 'Mais ou menos', 'Cumpre o que promete'],
    array['demorou um pouco', 'poderia ser melhor', 'um pouco caro']
),
(
    'pt', 3, array['Bom', 'Ótimo', 'Adorei'],
    array['Muito bom', 'Ótima qualidade', 'Produto excelente', 'Nada mal'],
    array['adorei', 'chegou rápido', 'recomendo', 'compraria de novo']
),
(
    'es', 1, array['Malo', 'No me gusta', 'Pésimo'],
    array['No es bueno', 'Pésima calidad', 'Llegó roto', 'Muy malo'],
    array['quiero un reembolso', 'no lo recomiendo', 'nunca más', 'una decepción']
),
(
    'es', 2, array['Regular', 'Normal'],
    array['Está bien', 'Ni bueno ni malo', 'Calidad normal'],
    array['tardó un poco', 'podría ser mejor', 'algo caro']
),
(
    'es', 3, array['Bueno', 'Excelente', 'Me encanta'],
    array['Muy bueno', 'Excelente calidad', 'Nada mal', 'Funciona perfecto'],
    array['me encanta', 'entrega rápida', 'lo recomiendo', 'volvería a comprar']
),
(
    'de', 1, array['Schlecht', 'Nicht gut', 'Enttäuscht'],
    array['Nicht gut', 'Schlechte Qualität', 'Kam kaputt an', 'Gar nicht zufrieden'],
    array['ich will mein Geld zurück', 'nie wieder', 'nicht zu empfehlen', 'schade ums Geld']
),
(
    'de', 2, array['Geht so', 'Mittelmäßig'],
    array['Ganz okay', 'Weder gut noch schlecht', 'Erfüllt seinen Zweck'],
    array['die Lieferung dauerte', 'etwas teuer', 'könnte besser sein']
),
(
    'de', 3, array['Gut', 'Sehr gut', 'Nicht schlecht'],
    array['Sehr gut', 'Tolle Qualität', 'Gar nicht schlecht', 'Funktioniert perfekt'],
    array['ich liebe es', 'schnelle Lieferung', 'gerne wieder', 'sehr zu empfehlen']
);
