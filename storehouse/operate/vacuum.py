"""Vacuuming the warehouse, as the roles that own the tables."""

from storehouse.core.databases import Duty, open_warehouse
from storehouse.core.queries import as_sql
from storehouse.core.settings import settings

# For a superuser: all tables, PostgreSQL's own too. For extract: those that raw_owner grants it, from PostgreSQL 17 on.
OWNED = """
select oid::regclass::text from pg_class
where relkind in ('r', 'm') and relpersistence != 't' and (
    pg_has_role(relowner, 'usage')
    or case when current_setting('server_version_num')::int >= 170000 then has_table_privilege(oid, 'maintain') end
)
order by 1
"""


def vacuum() -> None:
    """Free dead rows and refresh the planner's statistics, as extract and as transform: each its own tables.

    PostgreSQL's notices are printed.
    """
    roles: dict[str, Duty] = {
        settings().extract_user or settings().warehouse_user: "extract",
        settings().warehouse_user: "transform",
    }
    for duty in roles.values():
        with open_warehouse(duty) as warehouse, warehouse.speaking():
            warehouse.add_notice_handler(lambda notice: print(f"{notice.severity}: {notice.message_primary}"))
            if owned := [name for (name,) in warehouse.execute(OWNED)]:
                warehouse.execute(as_sql(f"vacuum (analyze) {', '.join(owned)}"))
                print(f"{warehouse.info.user}: {len(owned)} tables vacuumed and analysed")
