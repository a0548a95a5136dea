"""`make backup` and `make restore`: what is restored is what was backed up, whole or not at all."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from houses import Command, command
from real_redis import wait_until

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server, program
from storehouse.operate import restore
from storehouse.operate.backup import PART, Backup, backups, chain_of

# Of 200 MB, so that a back-up takes a moment in which it can be killed.
# Vacuumed by nobody: that would change its blocks after the first back-up.
FILL = """
    create table filled with (autovacuum_enabled = off) as
    select n, repeat(md5(n::text), 30) as words from generate_series(1, 200000) as n
"""
BESIDE = {"pii_key": "the key", "demo/stores/2026-01-01/a.csv": "a,b\n", "airflow/airflow.cfg": "fernet_key = x\n"}


class Home:
    """A home folder with an embedded server that holds one table, and the commands that a person types there."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.server = Server(folder / "postgres")
        # The shop is another: nothing of the demo is started.
        self.run: Command = command(folder, SHOP_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", **variables)

    @property
    def backups(self) -> list[Backup]:
        return backups(self.folder / "backups")

    def fill(self) -> None:
        self.server.start().ensure_database("storehouse")
        self.execute("create table kept (n int)")
        for name, content in BESIDE.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.server.conninfo("storehouse")) as connection:
            connection.execute(statement)

    def kept(self) -> list[int]:
        """What the table holds; the server is started if it does not run."""
        self.server.start()
        with psycopg.connect(self.server.conninfo("storehouse")) as connection:
            return [n for (n,) in connection.execute("select n from kept order by n")]

    def back_up(self, *options: str) -> Backup:
        before = {backup.folder for backup in self.backups}
        done = self.run("backup", *options)
        assert done.returncode == 0, done.stderr
        (made,) = [backup for backup in self.backups if backup.folder not in before]
        assert str(made.folder) in done.stdout and "verified" in done.stdout
        return made


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a running server."""
    home = Home(tmp_path / "home")
    home.fill()
    yield home
    home.server.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Home]:
    """Another home, with nothing in it."""
    other = Home(tmp_path / "other")
    yield other
    other.server.stop()


def test_the_first_is_full_and_the_next_hold_what_changed_and_each_is_restored_as_it_was(home, other) -> None:
    home.execute(FILL)
    made = []
    for n in range(3):
        home.execute(f"insert into kept values ({n})")
        made.append(home.back_up())
    assert [backup.kind for backup in made] == ["full", "incremental", "incremental"]
    sizes = [sum(file.stat().st_size for file in (one.data / "base").rglob("*") if file.is_file()) for one in made]
    assert sizes[0] > 200_000_000 and sizes[1] < sizes[0] / 10 and sizes[2] < sizes[0] / 10
    assert all(stat.S_IMODE(backup.folder.stat().st_mode) == 0o700 for backup in made)
    home.execute("insert into kept values (99)")
    for n, backup in enumerate(made):
        done = home.run("restore", "--from", str(backup.folder), "--into", str(other.folder), "--force")
        assert done.returncode == 0, done.stderr
        assert other.kept() == list(range(n + 1))
        for name, content in BESIDE.items():
            assert (other.folder / name).read_text() == content
        assert other.server.password == home.server.password
        other.server.stop()
    assert home.kept() == [0, 1, 2, 99]


def test_full_is_made_where_it_is_asked_for_and_where_the_last_full_one_is_old(home) -> None:
    assert home.back_up().kind == "full"
    assert home.back_up("--full").kind == "full"
    assert home.back_up().kind == "incremental"
    # What is not ours stays, and keeps nobody from backing up.
    broken, foreign = home.folder / "backups" / "broken", home.folder / "backups" / "mine.part"
    for folder in (broken, foreign):
        folder.mkdir()
        (folder / "backup.json").write_text("{}")
    home.run.environment["BACKUP_FULL_DAYS"] = "1e-9"
    assert home.back_up().kind == "full"
    assert foreign.exists() and broken.exists()


def test_nothing_is_built_on_a_backup_of_another_life_of_the_server(home) -> None:
    first = home.back_up()

    def go_back() -> None:
        home.server.stop()
        done = home.run("restore", "--from", str(first.folder), "--force")
        assert done.returncode == 0, done.stderr
        home.server.start()

    go_back()
    assert home.back_up().kind == "full" and home.back_up().kind == "incremental"
    go_back()  # Into a timeline of the same number.
    home.execute("create table of_this_life (n int)")
    assert home.back_up().kind == "full"


def test_servers_that_back_up_into_one_folder_leave_each_others(home, other, tmp_path: Path) -> None:
    other.fill()
    for one in (home, other, other, other):
        assert one.run("backup", "--full", "--to", str(tmp_path / "shared")).returncode == 0
    systems = [backup.about.system for backup in backups(tmp_path / "shared")]
    assert sorted(systems.count(system) for system in set(systems)) == [1, 2]


@pytest.mark.parametrize("wrong", ["emptied", "gone"])
def test_a_key_that_is_not_what_was_backed_up_is_not_restored(home, other, wrong: str) -> None:
    made = home.back_up()
    key = made.home / "pii_key"
    key.unlink() if wrong == "gone" else key.write_text("")
    done = home.run("restore", "--from", str(made.folder), "--into", str(other.folder))
    assert done.returncode == 1 and "pii_key is not what was backed up" in done.stderr
    assert not (other.folder / "postgres").exists()


def test_only_one_restores_into_a_home(home, other) -> None:
    made = home.back_up()
    with restore._alone(other.folder):
        done = home.run("restore", "--from", str(made.folder), "--into", str(other.folder))
    assert done.returncode == 1 and "Another restore into" in done.stderr


def test_the_back_ups_of_any_folder_are_listed(home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert home.run("backup", "--to", str(elsewhere)).returncode == 0
    (made,) = backups(elsewhere)
    listed = home.run("restore", "--from", str(elsewhere))
    assert listed.returncode == 0 and str(made.folder) in listed.stdout
    none = home.run("restore")
    assert none.returncode == 1 and none.stderr.count("\n") == 1 and "make backup" in none.stderr


def test_a_server_that_does_not_note_what_changed_is_backed_up_in_full_and_the_reason_is_said(home) -> None:
    home.back_up()
    home.server.stop()
    without = Server(home.folder / "postgres", options={"summarize_wal": "off"}).start()
    done = home.run("backup")
    without.stop()
    assert done.returncode == 0, done.stderr
    assert "summarize_wal is off" in done.stderr
    assert [backup.kind for backup in home.backups] == ["full", "full"]


def test_what_changed_since_is_never_taken_across_a_restore(home) -> None:
    first = home.back_up()
    home.execute("insert into kept select n from generate_series(1, 1000) as n")
    second = home.back_up()
    assert second.kind == "incremental"
    home.server.stop()
    restored = home.run("restore", "--from", str(first.folder), "--force")
    assert restored.returncode == 0, restored.stderr
    assert home.kept() == []
    # Further than the second: by its place in the log alone it could follow it.
    home.execute("insert into kept select n from generate_series(1, 9000) as n")
    done = home.run("backup")
    assert "restored since" in done.stderr
    last = home.backups[-1]
    assert last.kind == "full"
    home.server.stop()
    assert home.run("restore", "--from", str(last.folder), "--force").returncode == 0
    assert len(home.kept()) == 9000


def spoil(backup: Backup) -> None:
    """Change one byte of a table, as a bad disk does."""
    largest = max((backup.data / "base").rglob("*"), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))


def test_a_damaged_one_is_not_restored_and_not_built_on(home, other) -> None:
    first = home.back_up()
    second = home.back_up()
    spoil(first)
    home.server.stop()
    before = sorted(home.folder.rglob("*"))
    for options in ([], ["--force"]):
        for backup, into in ((second, home), (second, other)):
            done = home.run("restore", "--from", str(backup.folder), "--into", str(into.folder), *options)
            assert done.returncode == 1
            assert not (other.folder / "postgres").exists()
    assert "checksum mismatch" in done.stderr and "Traceback" not in done.stderr
    assert sorted(home.folder.rglob("*")) == before
    done = home.run("backup")
    assert done.returncode == 0 and "can't be built on" in done.stderr and "checksum mismatch" in done.stderr
    assert home.backups[-1].kind == "full"


def test_one_whose_earlier_part_is_gone_is_not_restored_and_not_built_on(home, other) -> None:
    first = home.back_up()
    second = home.back_up()
    shutil.rmtree(first.folder)
    done = home.run("restore", "--from", str(second.folder), "--into", str(other.folder))
    assert done.returncode == 1 and first.folder.name in done.stderr
    assert home.back_up().kind == "full"


def test_one_that_is_killed_leaves_nothing_that_is_taken_for_a_backup_and_the_next_one_clears_it(home) -> None:
    home.execute(FILL)
    folder = home.folder / "backups"
    process = subprocess.Popen(
        [sys.executable, "-m", "storehouse", "backup"], cwd=PROJECT, env=home.run.environment, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: list(folder.glob(f"*{PART}/data/base")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(folder.glob(f"*{PART}")) and not home.backups
    listed = home.run("restore")
    assert listed.returncode == 1 and "make backup" in listed.stderr
    # PostgreSQL's program may still be writing: until it has ended, nobody else begins.
    wait_until(lambda: home.run("backup").returncode == 0)
    assert [backup.kind for backup in home.backups] == ["full"]
    assert not list(folder.glob(f"*{PART}"))


def test_two_at_once_are_one_and_a_message(home) -> None:
    home.execute(FILL)
    command = [sys.executable, "-m", "storehouse", "backup"]
    both = [
        subprocess.Popen(command, cwd=PROJECT, env=home.run.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate()[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert any("Another back-up" in words and "Traceback" not in words for words in said)
    assert len(home.backups) == 1


def test_the_newest_chains_are_kept_and_one_that_fails_removes_nothing(home, tmp_path) -> None:
    home.run.environment["BACKUP_CHAINS"] = "1"
    first = [home.back_up().folder, home.back_up().folder, home.back_up().folder]
    broken = home.run("backup", "--full", "--to", "/dev/null/none")
    assert broken.returncode == 1 and "Traceback" not in broken.stderr
    assert [backup.folder for backup in home.backups] == first
    done = home.run("backup", "--full")
    assert done.stderr.count("removed") == 3
    (left,) = home.backups
    assert left.kind == "full" and left.folder not in first
    assert {entry.name for entry in (home.folder / "backups").iterdir()} == {".lock", left.folder.name}
    elsewhere = tmp_path / "elsewhere"
    assert home.run("backup", "--to", str(elsewhere)).returncode == 0
    assert [backup.kind for backup in backups(elsewhere)] == ["full"] and len(home.backups) == 1


def test_a_disk_without_room_is_told_before_it_is_full(home, tmp_path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).returncode:
        pytest.skip("a small disk can't be mounted here: that needs root")
    try:
        done = home.run("backup", "--to", str(disk))
        assert done.returncode == 1 and "TO=" in done.stderr and "are free" in done.stderr
        assert not [entry for entry in disk.iterdir() if entry.name != ".lock"]
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_nothing_is_restored_over_what_is_there_unless_it_is_asked_for(home) -> None:
    home.execute("insert into kept values (1)")
    backup = home.back_up()
    home.execute("insert into kept values (2)")
    for options in ([], ["--force"]):
        done = home.run("restore", "--from", str(backup.folder), *options)
        assert done.returncode == 1 and "is running" in done.stderr and "make stop" in done.stderr
    home.run("stop")
    done = home.run("restore", "--from", str(backup.folder))
    assert done.returncode == 1 and "FORCE=1" in done.stderr
    assert home.kept() == [1, 2]
    home.run("stop")
    (home.folder / "pii_key").write_text("another key")
    done = home.run("restore", "--from", str(backup.folder), "--force")
    assert done.returncode == 0, done.stderr
    assert home.kept() == [1]
    assert (home.folder / "pii_key").read_text() == "the key"
    (aside,) = home.folder.glob("replaced-*")
    assert str(aside) in done.stdout
    assert (aside / "pii_key").read_text() == "another key"
    old = Home(aside)
    assert old.kept() == [1, 2]
    old.server.stop()


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Within, what renames files is killed before it does so for the time of this number."""
    rename, renamed = Path.rename, 0

    def dies(path: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += 1
        if renamed == number:
            raise KeyboardInterrupt
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", dies)
        yield


def test_a_restore_that_is_killed_between_two_steps_is_ended_by_the_next(home, tmp_path, configure) -> None:
    home.execute("insert into kept values (1)")
    backup = home.back_up()

    def half(name: str) -> Home:
        made = Home(tmp_path / name)
        configure(STOREHOUSE_HOME=made.folder)
        return made

    before = half("before")
    (before.folder / "postgres" / "data").mkdir(parents=True)
    (before.folder / "pii_key").write_text("another key")
    with killed_at(1), pytest.raises(KeyboardInterrupt):  # The list is written.
        restore.main(backup.folder, None, is_forced=True)
    assert sorted(entry.name for entry in before.folder.iterdir() if PART not in entry.name) == ["pii_key", "postgres"]
    assert (before.folder / "pii_key").read_text() == "another key"
    with killed_at(2), pytest.raises(KeyboardInterrupt):
        restore.main(backup.folder, None, is_forced=True)
    for number in range(1, 7):
        after = half(f"after{number}")
        shutil.copytree(before.folder, after.folder, symlinks=True)
        with killed_at(number), pytest.raises(KeyboardInterrupt):
            restore.main(None, None, is_forced=False)
        refused = after.run("start")
        assert refused.returncode == 1 and "make restore" in refused.stderr
        if not (after.folder / "pii_key").exists():
            (after.folder / "pii_key").write_text("made by another command meanwhile")
        assert after.run("restore").returncode == 0
        for name, content in BESIDE.items():
            assert (after.folder / name).read_text() == content
        (aside,) = after.folder.glob("replaced-*")
        assert (aside / "pii_key").read_text() == "another key" and (aside / "postgres" / "data").exists()
        assert (after.folder / "postgres" / "data" / "PG_VERSION").exists()
    with killed_at(7):
        after = half("whole")
        shutil.copytree(before.folder, after.folder, symlinks=True)
        restore.main(None, None, is_forced=False)
    assert after.kept() == [1]
    after.server.stop()


@pytest.mark.parametrize("wrong", ["no folder", "another folder", "of another version", "says nothing"])
def test_what_is_no_backup_of_ours_is_refused_in_a_sentence(home, other, tmp_path, wrong: str) -> None:
    folder = tmp_path / "none"
    if wrong == "another folder":
        folder.mkdir()
    elif wrong != "no folder":
        folder = home.back_up().folder
        about = folder / "backup.json"
        said = about.read_text().replace('"version": 18', '"version": 17')
        about.write_text("{}" if wrong == "says nothing" else said)
    done = home.run("restore", "--from", str(folder), "--into", str(other.folder))
    assert done.returncode == 1 and str(folder) in done.stderr and "Traceback" not in done.stderr
    assert not (other.folder / "postgres").exists()


def test_an_empty_home_has_nothing_to_back_up(other) -> None:
    done = other.run("backup")
    assert done.returncode == 1 and "make run" in done.stderr
    assert not (other.folder / "postgres").exists()


def test_a_server_of_ones_own_is_backed_up_by_a_role_that_may_replicate_and_restored_by_hand(home, other) -> None:
    home.execute("insert into kept values (1)")
    home.execute("create role keeper login replication password 'secret-of-keeper'; grant pg_monitor to keeper")
    home.execute("create role transform login password 'secret-of-transform'")
    place = {"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": str(home.server.port), "WAREHOUSE_USER": "transform"}
    other.run.environment.update(place, WAREHOUSE_PASSWORD="secret-of-transform")
    refused = other.run("backup")
    assert refused.returncode == 1 and "BACKUP_USER" in refused.stderr
    other.run.environment.update(BACKUP_USER="keeper", BACKUP_PASSWORD="secret-of-keeper")
    made = [other.back_up(), other.back_up()]
    assert [backup.kind for backup in made] == ["full", "incremental"]
    done = other.run("restore", "--from", str(made[1].folder))
    assert done.returncode == 1 and "docs/backup.md" in done.stderr
    for backup in made:
        assert "secret-of" not in (backup.folder / "backup.json").read_text()
    assert [one.folder for one in chain_of(made[1])] == [one.folder for one in made]
    # As docs/backup.md says it.
    by_hand = other.folder / "postgres"
    by_hand.mkdir()
    shutil.copy2(home.folder / "postgres" / "password", by_hand)
    program("pg_combinebackup", *(one.data for one in made), "-o", by_hand / "data")
    (by_hand / "data" / "recovery.signal").touch()
    other.server.give(by_hand / "data" / "recovery.signal")
    with (by_hand / "data" / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    assert other.kept() == [1]
