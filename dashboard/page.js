// The analysts' page: sums the figures for the filters, and draws them. Everything that is shown is in the page's data.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const TABLES = Object.fromEntries(Object.entries(DATA.queries).map(([name, query]) => [name, unpacked(query.columns)]));
const PERIODS = periods();
const LAST = Object.values(PERIODS).map(each => each.ends_on).sort().at(-1); // whole day
const SOURCE_OF = Object.fromEntries(records("channels").filter(each => each.is_named).map(each => [each.channel, each.source]));
const OTHER_SOURCES = new Set(records("channels").map(each => each.source).filter(source => !Object.values(SOURCE_OF).includes(source)));
const DIMENSIONS = ["channel", "source", "region", "tier"];
const NAMES = {
    web: "Web", marketplace: "Marketplace", stores: "Stores", shop: "Shop", none: "no discount", low: "low discount", medium: "medium discount", high: "high discount",
    us: "Americas", eu: "Europe", apac: "Asia and Pacific", mea: "Middle East and Africa", other: "other regions", others: "other channels",
};
const open = {}; // of each chart, the panel that is open below it

// Data --------------------------------------------------------------------------------------------------------------

function unpacked(columns) {
    if (!columns) return null;
    const arrays = {};
    for (const [name, column] of Object.entries(columns)) {
        arrays[name] = Array.isArray(column) ? column : [];
        for (let n = 0; n < (column.runs ?? []).length; n += 2)
            for (let times = column.runs[n + 1]; times; times--) arrays[name].push(column.runs[n]);
    }
    return arrays;
}

function records(name) {
    const [first, ...rest] = Object.entries(TABLES[name] ?? {});
    return first ? first[1].map((value, row) => Object.fromEntries([[first[0], value], ...rest.map(([key, column]) => [key, column[row]])])) : [];
}

function periods() {
    const found = {};
    for (const row of records("calendar")) {
        found[row.period] ??= { ...row, bars: [] };
        found[row.period].bars.push({ from: row.bar_starts_on, to: row.bar_ends_on, fromBefore: row.bar_before_starts_on, toBefore: row.bar_before_ends_on });
    }
    return found;
}

// A stretch of days as numbers of slots or windows, both included; nothing where there are no such days.
function stretch(borders, from, to) {
    if (!from) return [1, 0];
    return [borders.findIndex(day => day >= from) + 1, borders.findLastIndex(day => day <= to) + 1];
}

// That of the channels without a name is others; a review that names no known order has none.
function sourceOf(channel) {
    return channel === "no order" ? null : SOURCE_OF[channel] ?? "others";
}

function passes(table, row) {
    return DIMENSIONS.every(name => {
        if (!state[name]) return true;
        return state[name] === (name === "source" ? sourceOf(table.channel[row]) : table[name][row]);
    });
}

// The filtered sums of all number columns between two days, by the values of a column.
function sums(name, from, to, by) {
    const table = TABLES[name] ?? {}, measures = Object.keys(table).filter(key => ![...DIMENSIONS, "slot", "is_good", by].includes(key));
    const [first, last] = stretch(name === "sales" ? DATA.slots : DATA.windows, from, to), found = new Map();
    for (let row = 0; row < (table.slot ?? []).length; row++) {
        if (table.slot[row] < first || table.slot[row] > last || !passes(table, row)) continue;
        const key = by ? table[by][row] : "";
        if (!found.has(key)) found.set(key, Object.fromEntries(measures.map(measure => [measure, 0])));
        const sum = found.get(key);
        for (const measure of measures) sum[measure] += table[measure][row];
    }
    return found;
}

// The same of one query by bar: all bars in one go.
function sumsByBar(name, bars) {
    const table = TABLES[name], bySlot = DATA.slots.map(() => ({})), measures = Object.keys(table).filter(key => ![...DIMENSIONS, "slot"].includes(key));
    for (let row = 0; row < (table.slot ?? []).length; row++) {
        if (!passes(table, row)) continue;
        const sum = bySlot[table.slot[row] - 1];
        for (const measure of measures) sum[measure] = (sum[measure] ?? 0) + table[measure][row];
    }
    const over = (from, to) => {
        const [first, last] = stretch(DATA.slots, from, to), sum = Object.fromEntries(measures.map(measure => [measure, 0]));
        for (let slot = first; slot <= last; slot++) for (const measure of measures) sum[measure] += bySlot[slot - 1][measure] ?? 0;
        return sum;
    };
    return bars.map(bar => ({ bar, now: over(bar.from, bar.to), before: bar.fromBefore ? over(bar.fromBefore, bar.toBefore) : null }));
}

// Now and in the same days before.
function both(name, by) {
    const { starts_on, ends_on, before_starts_on, before_ends_on } = period();
    const now = sums(name, starts_on, ends_on, by), before = before_starts_on ? sums(name, before_starts_on, before_ends_on, by) : null;
    return by ? { now, before } : { now: now.get("") ?? {}, before: before && (before.get("") ?? {}) };
}

// Words -------------------------------------------------------------------------------------------------------------

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const money = dollars => (dollars < 0 ? "−$" : "$") + (Math.abs(dollars) < 10000 ? whole : compact).format(Math.abs(dollars));
const count = number => (Math.abs(number) < 100000 ? whole : compact).format(number);
const share = (part, all) => all ? part / all : null;
const percent = (value, digits = 0) => value === null ? "–" : `${(100 * value).toFixed(digits)}\u00a0%`;
const named = value => NAMES[value] ?? value;
const capital = text => text.charAt(0).toUpperCase() + text.slice(1);
const day = (iso, more = {}) => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC", ...more }).format(new Date(iso));
const month = iso => day(iso, { day: undefined, year: "numeric" });
const usd = cents => (cents ?? 0) / 100;
// The metric `refund_share`: of gross revenue, which credit notes have not been taken off.
const refundShare = sum => share(sum.refunded_cents, sum.sales_cents + sum.credited_cents);
const rounded = (value, digits) => value === null ? null : Number(value.toFixed(digits));

function stretched({ from, to }) {
    return from === to ? day(from, { weekday: "short", year: "numeric" }) : `${day(from)} to ${day(to, { year: "numeric" })}`;
}

// How something moved, as the end of a sentence; null where nothing is known to compare with.
function moved(now, before) {
    if (!before) return null;
    const change = now / before - 1;
    if (Math.abs(change) < .005) return `were about the same as in ${period().before_words}`;
    return `${change > 0 ? "rose" : "fell"} ${Math.abs(change) < 10 ? percent(Math.abs(change)) : "more than tenfold"} against ${period().before_words}`;
}

function signed(change, unit = "%") {
    const size = unit === "%" ? percent(Math.abs(change)) : `${Math.abs(change).toFixed(unit === "points" ? 1 : 2)} ${unit}`;
    return (/[1-9]/.test(size) ? (change > 0 ? "+" : "−") : "±") + size;
}

const period = () => PERIODS[state.period];
const inPeriod = () => state.period === "all" ? "in all" : state.period === "last month" ? `in ${month(period().starts_on)}` : `in ${state.period}`;

// Elements ----------------------------------------------------------------------------------------------------------

const SHAPES = ["svg", "g", "rect", "path", "line", "text"];

// Texts are set as texts, never as HTML: names come from the shop.
function el(tag, attributes = {}, ...inside) {
    const made = SHAPES.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
        else if (name === "style") Object.assign(made.style, value);
        else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...inside.flat().filter(each => each !== null && each !== undefined).map(each => each instanceof Node ? each : String(each)));
    return made;
}

function changed(now, before, isGoodUp = true, unit = "%") {
    if (before === null || before === undefined || now === null || (unit === "%" && !before)) return el("span", { class: "change" }, period().before_starts_on ? "–" : "\u00a0");
    const change = unit === "%" ? now / before - 1 : now - before, level = Math.abs(change) < .005 ? "" : (change > 0) === isGoodUp ? "good" : "bad";
    return el("span", { class: `change ${isGoodUp === null ? "" : level}` }, signed(unit === "points" ? 100 * change : change, unit));
}

// A product's name, with its id on a line of its own where both don't fit.
function parted(name) {
    const id = String(name).match(/ \([^()]*\)$/);
    return id ? [name.slice(0, id.index), " ", el("span", { class: "id" }, id[0].trim())] : [capital(String(name))];
}

function legend(...entries) {
    return el("div", { class: "legend" }, entries.filter(Boolean).map(([kind, words]) => el("span", {}, kind ? el("i", { class: kind }) : null, words)));
}

// Plots -------------------------------------------------------------------------------------------------------------

function ticks(most) {
    const rough = most / 4, power = 10 ** Math.floor(Math.log10(rough || 1)), step = [1, 2, 2.5, 5, 10].find(times => times * power >= rough) * power;
    return [1, 2, 3, 4].map(times => times * step).filter(tick => tick <= most * 1.05);
}

// Bars from left to right, each of parts from the bottom up, with a line for the same days before. The arrow keys read them.
function plot(body, { bars, height, format, what, label }) {
    const width = Math.max(body.clientWidth, 240), below = 20, above = 8, high = height - below - above;
    const most = Math.max(...bars.map(bar => Math.max(bar.parts.reduce((all, part) => all + Math.max(part.value, 0), 0), bar.before ?? 0)), 0) || 1;
    const left = 46, y = value => above + high * (1 - Math.max(value, 0) / most), band = (width - left) / bars.length, thick = Math.max(Math.min(band * .7, 44), 1);
    const middle = n => left + (n + .5) * band, here = el("rect", { class: "here", y: above, height: high, width: band, visibility: "hidden" });
    const tip = el("output", { class: "tip", "aria-live": "polite" });
    const drawing = el("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
    for (const tick of ticks(most)) drawing.append(el("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }));
    drawing.append(here);
    bars.forEach((bar, n) => {
        let under = 0;
        for (const part of bar.parts) {
            const top = y(under + part.value);
            if (part.value > 0) drawing.append(el("rect", { class: part.kind, x: middle(n) - thick / 2, width: thick, y: top, height: Math.max(y(under) - top, 0) }));
            under += Math.max(part.value, 0);
        }
    });
    const line = bars.map((bar, n) => bar.before === null ? "" : `M${left + n * band} ${y(bar.before)}h${band}` + (bars[n + 1] && bars[n + 1].before !== null ? `V${y(bars[n + 1].before)}` : "")).join("");
    drawing.append(el("path", { class: "before", d: line }), el("line", { class: "axis", x1: left, x2: width, y1: y(0), y2: y(0) }));
    for (const tick of ticks(most)) drawing.append(el("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, format(tick)));
    const last = bars.length - 1, marked = width > 420 && last > 3 ? [0, Math.round(last / 3), Math.round(2 * last / 3), last] : [0, last];
    const isLong = !["1 day", "7 days"].includes(period().grain) || bars.length > 52;
    for (const n of new Set(marked)) {
        const anchor = n === 0 && last ? "start" : n === last && last ? "end" : "middle";
        drawing.append(el("text", { x: anchor === "start" ? left : anchor === "end" ? width : middle(n), y: height - 4, "text-anchor": anchor }, isLong ? month(bars[n].bar.from) : day(bars[n].bar.from)));
    }
    let at = null;
    const show = n => {
        at = n;
        here.setAttribute("visibility", n === null ? "hidden" : "visible");
        if (n === null) return tip.replaceChildren();
        here.setAttribute("x", left + n * band);
        tip.style.left = `${Math.min(Math.max(middle(n), 90), width - 90)}px`;
        tip.textContent = bars[n].words;
    };
    const place = event => Math.min(Math.max(Math.floor((event.clientX - drawing.getBoundingClientRect().left - left) / band), 0), last);
    const keys = { ArrowRight: () => Math.min((at ?? -1) + 1, last), ArrowLeft: () => Math.max((at ?? last + 1) - 1, 0), Home: () => 0, End: () => last, Escape: () => null };
    body.append(el("div", {
        class: "plot", tabindex: 0, role: "img", "aria-label": `${label}. ${bars.length} bars: the arrow keys read them, Table below lists them.`, "data-plot": what,
        onpointermove: event => show(place(event)), onpointerleave: () => show(null), onblur: () => show(null),
        onkeydown: event => { if (keys[event.key]) { show(keys[event.key]()); event.preventDefault(); } },
    }, drawing, tip));
}

// A table whose second column is a bar, with a mark for the same days before.
function barTable({ heads, rows, label }) {
    const most = Math.max(...rows.map(row => Math.max(Math.abs(row.value), row.before ?? 0)), 0) || 1;
    return el("table", { class: "bars", "aria-label": label },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, heads[0]), el("th", { class: "bar", "aria-hidden": "true" }), heads.slice(1).filter(Boolean).map(head => el("th", { scope: "col" }, head)))),
        el("tbody", {}, rows.map(row => el("tr", { class: row.isPicked ? "picked" : null },
            el("th", { scope: "row" }, row.pick ? el("button", { id: row.id, type: "button", "aria-pressed": String(row.isPicked), onclick: row.pick }, parted(row.name)) : parted(row.name)),
            el("td", { class: "bar", "aria-hidden": "true" }, el("div", { class: "track" },
                el("span", { class: row.kind, style: { width: `${100 * Math.abs(row.value) / most}%` } }),
                row.before === null || row.before === undefined ? null : el("i", { style: { left: `calc(${100 * Math.max(row.before, 0) / most}% - 1px)` } }))),
            row.cells.filter(Boolean).map(cell => el("td", {}, cell))))));
}

// Charts ------------------------------------------------------------------------------------------------------------

// What a chart is made of: a title that says what is seen, the columns and rows of its CSV, and what draws them. Where there
// is nothing to draw, `words` say so.
const EMPTY = { title: null, head: [], rows: [] };

function overTime() {
    const bars = sumsByBar("sales", period().bars);
    const unit = { "1 day": "day", "7 days": "week", "1 month": "month", "3 months": "quarter", "1 year": "year" }[period().grain];
    return { bars, unit, ...both("sales") };
}

function salesChart() {
    const { bars, unit, now, before } = overTime();
    if (!now.orders) return EMPTY;
    const best = bars.reduce((one, other) => other.now.sales_cents > one.now.sales_cents ? other : one), change = before && moved(now.sales_cents, before.sales_cents);
    const title = change ? `Sales ${change}` : `${money(usd(now.sales_cents))} of sales ${inPeriod()}; the best ${unit} was ${stretched(best.bar)}`;
    return {
        title,
        head: ["starts_on", "ends_on", "sales_usd", "discount_usd", "items", "sales_usd_before"],
        rows: bars.map(({ bar, now, before }) => [bar.from, bar.to, usd(now.sales_cents), usd(now.discount_cents), now.items, before && usd(before.sales_cents)]),
        draw(body) {
            plot(body, {
                what: "sales", label: title, height: 270, format: money,
                bars: bars.map(({ bar, now, before }) => ({
                    bar, before: before && usd(before.sales_cents), parts: [{ kind: "now", value: usd(now.sales_cents) }],
                    words: `${stretched(bar)}\n${money(usd(now.sales_cents))}${before ? `, before ${money(usd(before.sales_cents))}` : ""}`,
                })),
            });
            body.append(legend(["now", "sales, US dollars"], before && ["before", period().before_words]));
        },
    };
}

function ordersChart() {
    const { bars, now, before } = overTime();
    if (!now.orders) return EMPTY;
    const change = before && moved(now.orders, before.orders);
    const title = `${change ? `Orders ${change}` : `${count(now.orders)} orders ${inPeriod()}`}; ${percent(refundShare(now), 1)} of revenue was refunded`;
    const kept = sum => sum.orders - sum.returned_orders;
    return {
        title,
        head: ["starts_on", "ends_on", "orders", "lost_orders", "returned_orders", "credit_notes", "refunded_usd", "orders_before", "refunded_usd_before"],
        rows: bars.map(({ bar, now, before }) => [bar.from, bar.to, now.orders, now.lost_orders, now.returned_orders, now.credit_notes, usd(now.refunded_cents), before && before.orders, before && usd(before.refunded_cents)]),
        draw(body) {
            plot(body, {
                what: "orders", label: title, height: 180, format: count,
                bars: bars.map(({ bar, now, before }) => ({
                    bar, before: before && before.orders,
                    parts: [{ kind: "now", value: kept(now) }, { kind: "pale", value: now.credit_notes }, { kind: "returned", value: now.returned_orders }, { kind: "bad", value: now.lost_orders }],
                    words: `${stretched(bar)}\n${count(now.orders)} orders${before ? `, before ${count(before.orders)}` : ""}\n${count(now.returned_orders)} returned, ${count(now.lost_orders)} cancelled or undeliverable`,
                })),
            });
            body.append(legend(["now", "sold and kept"], now.credit_notes ? ["pale", "credit notes"] : null, ["returned", "returned"], ["bad", "cancelled or undeliverable"], before && ["before", `orders, ${period().before_words}`]));
            plot(body, {
                what: "refunds", label: "Refunds of the orders of each bar", height: 96, format: money,
                bars: bars.map(({ bar, now, before }) => ({
                    bar, before: before && usd(before.refunded_cents), parts: [{ kind: "bad", value: usd(now.refunded_cents) }],
                    words: `${stretched(bar)}\n${money(usd(now.refunded_cents))} refunded, ${percent(refundShare(now), 1)} of revenue`,
                })),
            });
            body.append(legend(["bad", "refunded, US dollars"], before && ["before", period().before_words]));
        },
    };
}

function breakdown(dimension) {
    return () => {
        const { now, before } = both("sales", dimension), keys = [...new Set([...now.keys(), ...(before ?? new Map()).keys()])];
        const all = [...now.values()].reduce((sum, each) => sum + each.sales_cents, 0);
        if (!all) return EMPTY;
        const rows = keys.map(key => ({ key, now: usd(now.get(key)?.sales_cents), orders: now.get(key)?.orders ?? 0, before: before && usd(before.get(key)?.sales_cents) })).sort((one, other) => other.now - one.now);
        const fallen = before && rows.filter(row => row.before && row.now < row.before).sort((one, other) => one.now - one.before - (other.now - other.before))[0];
        const fell = fallen && `${fallen === rows[0] ? ", which" : `; ${named(fallen.key)}`} fell most, by ${percent(1 - fallen.now / fallen.before)}`;
        const title = `${percent(share(100 * rows[0].now, all))} of sales come from ${named(rows[0].key)}${fell && rows.length > 1 ? fell : ""}`;
        return {
            title,
            head: [dimension, "sales_usd", "orders", "sales_usd_before"],
            rows: rows.map(row => [row.key, row.now, row.orders, row.before]),
            draw(body) {
                body.append(barTable({
                    label: title, heads: [dimension, "sales", before && "change"],
                    rows: rows.map(row => ({
                        id: `${dimension}-${row.key}`, name: named(row.key), value: row.now, before: row.before, isPicked: state[dimension] === row.key,
                        pick: () => choose(dimension, state[dimension] === row.key ? "" : row.key), cells: [money(row.now), before && changed(row.now, row.before)],
                    })),
                }), legend(["now", "sales"], before && ["tick", period().before_words]));
            },
        };
    };
}

// The named products, and what all sales have beyond them.
function products() {
    const { now, before } = both("products", "product"), all = both("sales"), keys = [...new Set([...now.keys(), ...(before ?? new Map()).keys()])];
    const named = keys.map(key => ({ key, now: now.get(key)?.sales_cents ?? 0, items: now.get(key)?.items ?? 0, before: before && (before.get(key)?.sales_cents ?? 0) }));
    const rest = (total, measure, name) => (total?.[measure] ?? 0) - named.reduce((sum, row) => sum + row[name], 0);
    const others = { key: "all others", now: rest(all.now, "sales_cents", "now"), items: rest(all.now, "items", "items"), before: before && rest(all.before, "sales_cents", "before") };
    const inDollars = row => ({ ...row, now: usd(row.now), before: row.before === null ? null : usd(row.before) });
    return { hasBefore: Boolean(before), named: named.map(inDollars), others: inDollars(others) };
}

function productTable(title, shown, others) {
    return {
        title,
        head: ["product", "sales_usd", "items", "sales_usd_before"],
        rows: [...shown, ...others].map(row => [row.key, row.now, row.items, row.before]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["product", "sales", shown[0].before !== null && "change"],
                rows: shown.map(row => ({ name: row.key, value: row.now, before: row.before, cells: [money(row.now), row.before !== null && changed(row.now, row.before)] })),
            }), legend(["now", "sales"], shown[0].before !== null && ["tick", period().before_words],
                others[0] && [null, `All other products together: ${money(others.reduce((sum, row) => sum + row.now, 0))}`]));
        },
    };
}

function bestChart() {
    const { named, others } = products(), all = named.reduce((sum, row) => sum + row.now, others.now), sold = named.sort((one, other) => other.now - one.now);
    if (!(sold[0]?.now > 0)) return EMPTY;
    return productTable(`${sold[0].key} sold most: ${money(sold[0].now)}, ${percent(share(sold[0].now, all), 1)} of sales`, sold.slice(0, 8), [...sold.slice(8), others]);
}

function fallingChart() {
    const { named, hasBefore } = products(), fallen = named.filter(row => row.now < row.before).sort((one, other) => one.now - one.before - (other.now - other.before)).slice(0, 8);
    if (!hasBefore) return { ...EMPTY, words: "There are no whole days before this period to compare with." };
    if (!fallen.length) return { ...EMPTY, words: `Of the named products none sold less than in ${period().before_words}.` };
    return productTable(`${fallen[0].key} lost most: ${money(fallen[0].before - fallen[0].now)} less than in ${period().before_words}`, fallen, []);
}

function cohortsChart() {
    const table = TABLES.cohorts, found = new Map();
    for (let row = 0; row < (table?.customers ?? []).length; row++) {
        if (!passes(table, row)) continue;
        const months = found.get(table.cohort_month[row]) ?? found.set(table.cohort_month[row], []).get(table.cohort_month[row]);
        months[table.month_number[row]] = (months[table.month_number[row]] ?? 0) + table.customers[row];
    }
    const cohorts = [...found].filter(([, months]) => months[0]).sort();
    if (!cohorts.length) return EMPTY;
    const monthAfter = (iso, months) => { const date = new Date(iso); date.setUTCMonth(date.getUTCMonth() + months); return date.toISOString().slice(0, 10); };
    const lastMonth = period().ends_on.slice(0, 7), firstMonth = period().starts_on.slice(0, 7), newest = LAST.slice(0, 7);
    const isIn = (cohort, number) => { const at = monthAfter(cohort, number).slice(0, 7); return number > 0 && firstMonth <= at && at <= lastMonth; };
    const cells = cohorts.flatMap(([cohort, months]) => Array.from({ length: 12 }, (_, number) => ({ cohort, number, customers: months[number] ?? 0, size: months[0] })))
        .filter(({ cohort, number }) => monthAfter(cohort, number).slice(0, 7) <= newest);
    const chosen = cells.filter(({ cohort, number }) => isIn(cohort, number)), size = chosen.reduce((sum, cell) => sum + cell.size, 0);
    const span = firstMonth === lastMonth ? month(firstMonth) : `${month(firstMonth)} to ${month(lastMonth)}`;
    const title = size ? `Of earlier customers ${percent(share(chosen.reduce((sum, cell) => sum + cell.customers, 0), size))} bought again in a month, ${span}` : `${count(cohorts.reduce((sum, [, months]) => sum + months[0], 0))} customers first bought ${month(cohorts[0][0])} to ${month(cohorts.at(-1)[0])}`;
    const columns = Math.max(...cells.map(cell => cell.number)) + 1;
    return {
        title,
        head: ["cohort_month", "month_number", "cohort_customers", "active_customers", "is_in_period"],
        rows: cells.map(cell => [cell.cohort, cell.number, cell.size, cell.customers, isIn(cell.cohort, cell.number)]),
        draw(body) {
            const isFramed = chosen.length && chosen.length < cells.filter(cell => cell.number).length;
            body.append(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Cohorts by months after their first order" }, el("table", { class: "heat", "aria-label": title },
                el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "first bought"), el("th", { scope: "col" }, "people"), Array.from({ length: columns - 1 }, (_, n) => el("th", { scope: "col" }, n ? `${n + 1}` : "1 month later")))),
                el("tbody", {}, cohorts.map(([cohort]) => el("tr", {}, el("th", { scope: "row" }, month(cohort)), el("td", { class: "size" }, count(found.get(cohort)[0])),
                    Array.from({ length: columns - 1 }, (_, n) => {
                        const cell = cells.find(each => each.cohort === cohort && each.number === n + 1);
                        if (!cell) return el("td");
                        const value = share(cell.customers, cell.size);
                        return el("td", { class: isFramed && isIn(cohort, n + 1) ? "in" : null, title: `${count(cell.customers)} of ${count(cell.size)}`, style: { background: `color-mix(in srgb, var(--now) ${Math.round(4 + 46 * value)}%, var(--card))` } }, percent(value));
                    })))))),
            legend([null, `Share of a month's new customers who bought again, by months after it.${isFramed ? " Framed: the months of the period." : ""} The newest month may not be over.`]));
        },
    };
}

function valueChart() {
    const { now } = both("value", "segment"), order = ["champion", "loyal", "occasional", "new", "at risk", "lost"];
    const rows = [...now].map(([segment, sum]) => ({ segment, ...sum })).sort((one, other) => order.indexOf(one.segment) - order.indexOf(other.segment));
    const customers = rows.reduce((sum, row) => sum + row.customers, 0), spend = rows.reduce((sum, row) => sum + row.spend_cents, 0);
    if (!customers) return { ...EMPTY, words: "Nobody who is known by name to the shop first bought in this period." };
    const title = `A customer who first bought ${state.period === "all" ? "at any time" : state.period === "last month" ? inPeriod() : `in these ${state.period}`} has spent ${money(usd(spend) / customers)} since`;
    return {
        title,
        head: ["segment", "customers", "orders", "spend_usd", "average_spend_usd"],
        rows: rows.map(row => [row.segment, row.customers, row.orders, usd(row.spend_cents), rounded(usd(row.spend_cents) / row.customers, 2)]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["segment", "each spent", "people"],
                rows: rows.map(row => ({ name: row.segment, value: usd(row.spend_cents) / row.customers, cells: [money(usd(row.spend_cents) / row.customers), count(row.customers)] })),
            }), legend(["now", "spent on average, US dollars"]));
        },
    };
}

function reviewsChart() {
    const { now, before } = both("reviews", "rating"), all = of => [...of.entries()].reduce((sum, [rating, each]) => ({ reviews: sum.reviews + each.reviews, stars: sum.stars + rating * each.reviews }), { reviews: 0, stars: 0 });
    const sum = all(now), sumBefore = before && all(before);
    if (!sum.reviews) return { ...EMPTY, words: "Nobody wrote a review of these orders in this period." };
    const average = sum.stars / sum.reviews, was = sumBefore?.reviews ? sumBefore.stars / sumBefore.reviews : null;
    const title = `Reviews give ${average.toFixed(2)} stars${was === null ? "" : Math.abs(average - was) < .005 ? ", as before" : `, ${average > was ? "up" : "down"} from ${was.toFixed(2)}`}`;
    const of = (sums, total, rating) => share(sums?.get(rating)?.reviews ?? 0, total);
    return {
        title,
        head: ["rating", "reviews", "reviews_before"],
        rows: [5, 4, 3, 2, 1].map(rating => [rating, now.get(rating)?.reviews ?? 0, before && (before.get(rating)?.reviews ?? 0)]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["stars", "share", "reviews"],
                rows: [5, 4, 3, 2, 1].map(rating => ({
                    name: `${rating} ${"★".repeat(rating)}`, value: of(now, sum.reviews, rating), before: was === null ? null : of(before, sumBefore.reviews, rating),
                    cells: [percent(of(now, sum.reviews, rating)), count(now.get(rating)?.reviews ?? 0)],
                })),
            }), legend(["now", "share of reviews"], was !== null && ["tick", period().before_words]));
        },
    };
}

function saidChart() {
    const { now, before } = both("reviews"), kinds = ["positive", "neutral", "negative"], written = sum => kinds.reduce((all, kind) => all + (sum?.[kind] ?? 0), 0);
    if (!written(now)) return { ...EMPTY, words: "No review of these orders in this period has a text." };
    const part = share(now.positive, written(now)), was = before && share(before.positive ?? 0, written(before));
    const title = `${percent(part)} of what is written is positive${was === null ? "" : `, ${signed(100 * (part - was), "points")}`}`;
    return {
        title,
        head: ["sentiment", "reviews", "reviews_before"],
        rows: kinds.map(kind => [kind, now[kind], before && (before[kind] ?? 0)]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["what is said", "share", "reviews"],
                rows: kinds.map((kind, n) => ({
                    name: kind, kind: ["good", "pale", "bad"][n], value: share(now[kind], written(now)), before: was === null ? null : share(before[kind], written(before)),
                    cells: [percent(share(now[kind], written(now))), count(now[kind])],
                })),
            }), legend(was !== null && ["tick", period().before_words]));
        },
    };
}

function wordsChart() {
    const { now, before } = both("words", "word"), { now: all, before: allBefore } = both("reviews"), table = TABLES.words ?? {};
    const written = sum => (sum?.positive ?? 0) + (sum?.neutral ?? 0) + (sum?.negative ?? 0);
    const isGood = Object.fromEntries((table.word ?? []).map((word, row) => [word, table.is_good[row]]));
    const rows = [...now].map(([word, { reviews }]) => ({ word, reviews, before: before && (before.get(word)?.reviews ?? 0), part: share(reviews, written(all)), partBefore: before && share(before.get(word)?.reviews ?? 0, written(allBefore)) }))
        .sort((one, other) => other.reviews - one.reviews);
    const good = rows.filter(row => isGood[row.word]), bad = rows.filter(row => !isGood[row.word]);
    if (!rows.length) return { ...EMPTY, words: "No review of these orders in this period uses a word that is known to be good or bad." };
    const title = !bad.length ? `“${good[0].word}” is said most, and no bad word` : `“${bad[0].word}” is the bad word said most: in ${percent(bad[0].part, 1)} of texts${bad[0].partBefore === null ? "" : `, ${percent(bad[0].partBefore, 1)} before`}`;
    return {
        title,
        head: ["word", "is_good", "reviews", "reviews_before"],
        rows: [...bad, ...good].map(row => [row.word, isGood[row.word], row.reviews, row.before]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["word", "of texts", "reviews"],
                rows: [...bad.slice(0, 5), ...good.slice(0, 5)].map(row => ({ name: row.word, kind: isGood[row.word] ? "good" : "bad", value: row.part, before: row.partBefore, cells: [percent(row.part, 1), count(row.reviews)] })),
            }), legend(["bad", "bad words"], ["good", "good words"], before && ["tick", period().before_words]));
        },
    };
}

function droppedChart() {
    const { now, before } = both("ratings", "product"), keys = [...new Set([...now.keys(), ...(before ?? new Map()).keys()])];
    const average = sum => sum ? sum.rating_sum / sum.reviews : null;
    if (TABLES.ratings && !TABLES.ratings.slot?.length) return { ...EMPTY, words: "No product's rating has dropped." };
    if (!keys.length) return { ...EMPTY, words: "The products whose rating dropped have no review of these orders in this period." };
    const rows = keys.map(key => ({ key, now: average(now.get(key)), before: before && average(before.get(key)), reviews: now.get(key)?.reviews ?? 0 })).sort((one, other) => (one.now ?? 9) - (other.now ?? 9));
    const worst = rows[0], stars = worst.now?.toFixed(1), was = worst.before?.toFixed(1);
    const title = worst.now === null ? `${rows.length} products' ratings dropped` : Number(was) > Number(stars) ? `${worst.key} is down to ${stars} stars from ${was}` : `${worst.key} has fewest stars: ${stars}`;
    return {
        title,
        head: ["product", "average_rating", "reviews", "average_rating_before"],
        rows: rows.map(row => [row.key, rounded(row.now, 2), row.reviews, row.before === null ? null : rounded(row.before, 2)]),
        draw(body) {
            body.append(barTable({
                label: title, heads: ["product", "stars", "reviews"],
                rows: rows.map(row => ({ name: row.key, value: row.now ?? 0, before: row.before, cells: [row.now === null ? "–" : row.now.toFixed(1), count(row.reviews)] })),
            }), legend(["now", "average stars"], before && ["tick", period().before_words]));
        },
    };
}

// Whether the filters ask for what a source brings.
function isChosen({ source }) {
    const brings = chosen => !chosen || (chosen === "others" ? OTHER_SOURCES.has(source) : chosen === source);
    return brings(state.source) && brings(state.channel && sourceOf(state.channel));
}


function qualityChart() {
    const { starts_on, ends_on } = period(), tables = new Map();
    for (const row of records("quality").filter(isChosen)) if (starts_on <= row.day && row.day <= ends_on) {
        const name = `${row.source}.${row.table_name}`;
        (tables.get(name) ?? tables.set(name, []).get(name)).push(row);
    }
    if (!tables.size) return { ...EMPTY, words: "No table of this source has a judged day in this period." };
    const fresh = new Map(records("freshness").map(row => [`${row.source}.${row.table_name}`, row]));
    const rows = [...tables].map(([name, days]) => ({ name, days, last: days.at(-1), worst: Math.min(...days.map(each => each.score)), fresh: fresh.get(name) })).sort((one, other) => one.worst - other.worst);
    const low = rows[0].days.find(each => each.score === rows[0].worst);
    const title = rows[0].worst === 100 ? "All tables score 100 on every day" : `The lowest score is ${rows[0].worst} of 100: ${rows[0].name} on ${day(low.day)}`;
    return {
        title,
        head: ["table", "day", "score"],
        rows: rows.flatMap(row => row.days.map(each => [row.name, each.day, each.score])),
        draw(body) {
            body.append(el("table", { class: "bars strips", "aria-label": title },
                el("thead", {}, el("tr", {}, ["table", "points lost by day", "last score", "lowest", "behind"].map(head => el("th", { scope: "col" }, head)))),
                el("tbody", {}, rows.map(row => el("tr", {}, el("th", { scope: "row" }, row.name),
                    el("td", { class: "bar" }, el("svg", { class: "strip", viewBox: `0 0 ${row.days.length * 4} 20`, preserveAspectRatio: "none", role: "img", "aria-label": `${row.days.length} days, the lowest score is ${row.worst}` },
                        el("line", { class: "grid", x1: 0, x2: row.days.length * 4, y1: 19.5, y2: 19.5 }),
                        row.days.map((each, n) => each.score < 100 ? el("rect", { class: each.score < 90 ? "bad" : "returned", x: n * 4 + .5, width: 3, y: 20 - Math.min(20, 100 - each.score), height: Math.min(20, 100 - each.score) }) : null))),
                    el("td", {}, row.last.score), el("td", {}, row.worst),
                    el("td", {}, row.fresh ? `${row.fresh.hours_behind} h` : "–"))))),
            legend(["returned", "points lost"], ["bad", "more than 10 lost"]));
        },
    };
}

const CHARTS = [
    { id: "sales", kind: "Sales", size: "most", query: "sales", make: salesChart },
    { id: "channels", kind: "Sales by channel", size: "third", query: "sales", make: breakdown("channel") },
    { id: "orders", kind: "Orders and refunds", size: "most", query: "sales", make: ordersChart },
    { id: "regions", kind: "Sales by region", size: "third", query: "sales", make: breakdown("region") },
    { id: "best", kind: "Best products", size: "half", query: "products", make: bestChart },
    { id: "falling", kind: "Falling products", size: "half", query: "products", make: fallingChart },
    { id: "cohorts", kind: "Who comes back", size: "most", query: "cohorts", make: cohortsChart },
    { id: "tiers", kind: "Sales by discount tier", size: "third", query: "sales", make: breakdown("tier") },
    { id: "value", kind: "Lifetime value", size: "third", query: "value", make: valueChart },
    { id: "reviews", kind: "Reviews", size: "third", query: "reviews", group: "feedback", make: reviewsChart },
    { id: "said", kind: "What reviews say", size: "third", query: "reviews", group: "feedback", make: saidChart },
    { id: "words", kind: "Words in reviews", size: "half", query: "words", group: "feedback", make: wordsChart },
    { id: "dropped", kind: "Falling ratings", size: "half", query: "ratings", group: "feedback", make: droppedChart },
    { id: "quality", kind: "Quality and freshness of the sources", size: "whole", query: "quality", group: "all", make: qualityChart },
];

// The corner of a chart: the lowest score and the worst freshness of the tables that it stands on.
function trust(group) {
    const isOf = row => isChosen(row) || (group === "feedback" && row.source === "reviews");
    const belongs = row => isOf(row) && (group === "all" || (row.source === "reviews") === (group === "feedback"));
    const last = new Map(records("quality").filter(belongs).map(row => [`${row.source}.${row.table_name}`, row.score])), scores = [...last.values()];
    const fresh = records("freshness").filter(belongs), late = fresh.filter(row => ["warn", "error"].includes(row.verdict));
    const behind = Math.max(...(late.length ? late : fresh).map(row => row.hours_behind)), score = Math.min(...scores);
    const held = records("published").find(row => row.is_held_back && (group === "all" || row.group_name === (group ?? "shop")));
    return el("div", { class: "trust" },
        scores.length ? el("b", { class: score >= 95 ? "good" : score >= 90 ? "warning" : "bad" }, `Quality ${score}`) : el("b", { class: "warning" }, "Quality unknown"),
        held ? el("span", {}, el("b", { class: "warning" }, `Newer build held back since ${day(held.held_back_at)}`))
            : !fresh.length ? el("span", {}, "Freshness unknown") : late.length ? el("span", {}, el("b", { class: late.some(row => row.verdict === "error") ? "bad" : "warning" }, `Late, ${behind} h behind`)) : el("span", {}, `Fresh, ${behind} h behind`));
}

function csv(head, rows) {
    // A spreadsheet would run a text that begins like a formula (as_text of storehouse/core/shown.py).
    const cell = value => typeof value === "string" ? `"${value.replace(/^[=+\-@\t\r\n＝＋－＠]/, "'$&").replaceAll('"', '""')}"` : value ?? "";
    return [head, ...rows.map(row => row.map(cell))].map(row => row.join(",")).join("\r\n") + "\r\n";
}

function shownCell(value, name) {
    if (value === null) return "–";
    return typeof value === "number" ? (name.includes("_usd") || name.startsWith("average") ? exact : whole).format(value) : String(value);
}

function section(chart) {
    const missing = TABLES[chart.query] === null, made = missing ? { ...EMPTY, words: "This is not published yet, or a build has it for itself: make published says more." } : chart.make();
    const query = DATA.queries[chart.query], titled = `${chart.id}-title`, panelId = `${chart.id}-panel`;
    const body = el("div", { class: "body" }), panel = el("div", { class: "panel", id: panelId, hidden: true, tabindex: 0, role: "region" });
    const panels = {
        Table: () => made.rows.length ? el("table", { "aria-labelledby": titled }, el("thead", {}, el("tr", {}, made.head.map(name => el("th", { scope: "col" }, name.replaceAll("_", " "))))),
            el("tbody", {}, made.rows.map(row => el("tr", {}, row.map((value, n) => el("td", {}, shownCell(value, made.head[n]))))))) : el("p", {}, "There is nothing to list."),
        SQL: () => el("pre", {}, el("code", {}, query.sql.trim())),
        Definition: () => el("p", {}, query.definition),
    };
    const buttons = Object.keys(panels).map(name => el("button", { type: "button", id: `${chart.id}-${name}`, "aria-controls": panelId, onclick: () => { open[chart.id] = open[chart.id] === name ? null : name; unfold(); } }, name));
    const unfold = () => {
        for (const button of buttons) button.setAttribute("aria-expanded", String(button.textContent === open[chart.id]));
        panel.hidden = !open[chart.id];
        panel.setAttribute("aria-label", `${open[chart.id] ?? "Details"} of ${chart.kind}`);
        panel.replaceChildren(...(open[chart.id] ? [panels[open[chart.id]]()] : []));
    };
    unfold();
    const file = `${chart.id} ${state.period}${DIMENSIONS.map(name => state[name] ? ` ${state[name]}` : "").join("")}.csv`.replaceAll(/[^\w. -]/g, "_");
    const element = el("section", { id: chart.id, class: chart.size, "aria-labelledby": titled },
        el("header", {}, el("p", { class: "kind" }, chart.kind), trust(chart.group)),
        el("h2", { id: titled }, made.title ?? made.words ?? "Nothing was sold under these filters in this period."),
        body,
        el("div", { class: "tools" }, el("a", { href: `data:text/csv;charset=utf-8,${encodeURIComponent(csv(made.head, made.rows))}`, download: file, "aria-label": `CSV of ${chart.kind}` }, "CSV"), buttons),
        panel);
    return { element, draw: () => made.draw?.(body) };
}

// Page --------------------------------------------------------------------------------------------------------------

const OPTIONS = {
    period: Object.keys(PERIODS),
    channel: [...new Set(TABLES.sales?.channel ?? [])].sort(),
    source: [...new Set((TABLES.sales?.channel ?? []).map(sourceOf))].sort(),
    region: [...new Set(TABLES.sales?.region ?? [])].sort(),
    tier: ["none", "low", "medium", "high"].filter(tier => TABLES.sales?.tier?.includes(tier)).concat([...new Set(TABLES.sales?.tier ?? [])].filter(tier => !["none", "low", "medium", "high"].includes(tier)).sort()),
};
let state = asked();

// The state of the filters as the page's address says; what it does not know is left out.
function asked() {
    const given = new URLSearchParams(location.hash.slice(1)), found = {};
    for (const name of Object.keys(OPTIONS)) found[name] = OPTIONS[name].includes(given.get(name)) ? given.get(name) : "";
    return { ...found, period: found.period || (OPTIONS.period.includes("28 days") ? "28 days" : OPTIONS.period.at(-1) ?? "") };
}

function choose(name, value) {
    state = { ...state, [name]: value };
    const address = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    history.pushState(null, "", `#${address}`);
    show();
}

function filters() {
    const form = document.getElementById("filters"), words = { channel: "all channels", source: "all sources", region: "all regions", tier: "all tiers" };
    form.addEventListener("submit", event => event.preventDefault());
    for (const [name, values] of Object.entries(OPTIONS)) {
        const shown = value => name === "period" ? (value === "all" ? "all history" : value === "last month" ? `last month (${month(PERIODS[value].starts_on)})` : `last ${value}`) : capital(named(value));
        form.append(el("label", {}, capital(name), el("select", { name, id: `filter-${name}`, onchange: event => choose(name, event.target.value) },
            name === "period" ? null : el("option", { value: "" }, words[name]), values.map(value => el("option", { value }, shown(value))))));
    }
    form.append(el("button", { type: "button", id: "reset", onclick: () => { state = { period: state.period }; for (const name of DIMENSIONS) state[name] = ""; choose("period", state.period); } }, "Clear filters"));
}

function figures() {
    const { now, before } = both("sales"), average = sum => sum && sum.valued_orders ? usd(sum.sales_cents + sum.credited_cents) / sum.valued_orders : null;
    const reviews = both("reviews", "rating"), stars = of => { let n = 0, sum = 0; for (const [rating, each] of of ?? []) { n += each.reviews; sum += rating * each.reviews; } return n ? sum / n : null; };
    const refunded = sum => sum ? refundShare(sum) : null, rating = stars(reviews.now);
    return el("ul", { id: "figures", "aria-label": `Figures ${inPeriod()}` }, [
        ["Sales", money(usd(now.sales_cents)), changed(now.sales_cents ?? 0, before?.sales_cents)],
        ["Orders", count(now.orders ?? 0), changed(now.orders ?? 0, before?.orders)],
        ["Average order", average(now) === null ? "–" : money(average(now)), changed(average(now), average(before))],
        ["Refunded, of revenue", percent(refunded(now), 1), changed(refunded(now), refunded(before), null, "points")],
        ["Average rating", rating === null ? "–" : rating.toFixed(2), changed(rating, stars(reviews.before), true, "stars")],
    ].map(([name, figure, change]) => el("li", {}, el("p", { class: "kind" }, name), el("b", {}, figure), change)));
}

function show() {
    const charts = document.getElementById("charts"), focused = document.activeElement?.id;
    if (!OPTIONS.period.length) {
        document.getElementById("headline").textContent = "No orders are published yet";
        document.getElementById("filters").hidden = true;
        charts.replaceChildren(el("section", {}, el("p", { class: "empty" }, "The marts are there, and no whole day of sales is in them. Land a day with make run; make published says what readers see, and what holds back the next build.")));
        return;
    }
    for (const name of Object.keys(OPTIONS)) {
        const select = document.getElementById(`filter-${name}`);
        select.value = state[name];
        select.classList.toggle("set", name !== "period" && Boolean(state[name]));
    }
    document.getElementById("reset").hidden = DIMENSIONS.every(name => !state[name]);
    const { now, before } = both("sales"), scope = DIMENSIONS.filter(name => state[name]).map(name => named(state[name])), more = before?.sales_cents ? now.sales_cents / before.sales_cents - 1 : null;
    const compared = more === null ? "" : Math.abs(more) < .005 ? `, about as much as in ${period().before_words}` : `, ${percent(Math.abs(more))} ${more > 0 ? "more" : "less"} than in ${period().before_words}`;
    document.getElementById("headline").textContent = `${scope.length ? `${capital(scope.join(", "))}: ` : ""}${money(usd(now.sales_cents))} of sales ${inPeriod()}${compared}`;
    const sections = CHARTS.map(section);
    charts.replaceChildren(figures(), ...sections.map(each => each.element));
    for (const each of sections) each.draw();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    notes();
}

function notes() {
    const { starts_on, ends_on, before_starts_on, before_ends_on } = period(), span = (from, to) => `${day(from, { year: "numeric" })} to ${day(to, { year: "numeric" })}`;
    const told = records("published").map(row => `${row.group_name}: ${row.published_at ? `published ${row.published_at.slice(0, 16).replace("T", " ")} UTC` : "not published yet"}${row.is_held_back ? ", and a newer build is held back" : ""}`);
    document.getElementById("notes").replaceChildren(
        el("p", {}, `The period is ${span(starts_on, ends_on)}${before_starts_on ? `; the same days before are ${span(before_starts_on, before_ends_on)}` : "; no whole days before are known to compare with"}. Only whole days count, those of the time zone ${records("published")[0].reporting_time_zone}; the quality of the sources is by days of UTC. Amounts are in US dollars.`),
        el("p", {}, `What readers see: ${told.join("; ")}.`),
        el("p", {}, "Every figure is the sum of what is in this file for the chosen filters. SQL shows the query that filled it, as it was run."));
}

document.getElementById("headline").setAttribute("aria-live", "polite");
filters();
show();
addEventListener("popstate", () => { state = asked(); show(); });
let drawnAt = innerWidth;
addEventListener("resize", () => { if (innerWidth !== drawnAt) { drawnAt = innerWidth; show(); } });
