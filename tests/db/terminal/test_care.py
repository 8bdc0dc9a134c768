"""Contacts, addresses, consents, tags and changes of many customers in the terminal: as the screens do them."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from db import bulk_actions, connection, schema, tags
from db.errors import Conflict, Invalid, NotFound, Refused
from db.terminal.command import Usage
from tests import make
from tests.db.terminal.calling import Run, Shop


def undone(run: Run, done: object) -> None:
    assert isinstance(done, dict)
    assert run("undo", done["change_set_id"]).code == 0


# --- contacts and addresses ------------------------------------------------------------------------------------------


def test_contacts_are_added_listed_changed_and_removed_and_each_is_taken_back(run: Run, shop: Shop) -> None:
    first = run(
        "contacts", "add", shop.ann, "--name", "王小明", "--phone", "138 0013 8000", "--main", "--json"
    ).document
    second = run("contacts", "add", shop.ann, "--name", "Li Na", "--note", "two\nlines", "--json").document

    def listed() -> list[tuple[str, str, bool]]:
        rows = run("contacts", "list", shop.ann, "--json").document["rows"]
        return [(row["name"], row["phone"], row["main"]) for row in rows]

    assert listed() == [("王小明", "+86 138 0013 8000", True), ("Li Na", "", False)]
    shown = run("contacts", "list", shop.ann).out
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [[str(first["id"]), "王小明"], ["2", "Li"]]
    assert "two lines" in shown
    moved = run("contacts", "change", shop.ann, second["id"], "--main", "--phone", "139 1234 5678", "--json").document
    assert listed() == [("Li Na", "+86 139 1234 5678", True), ("王小明", "+86 138 0013 8000", False)]
    assert run("search", "13912345678", "--json").document["total"] == 1, "a contact is found like its customer"
    undone(run, moved)
    assert listed()[0][0] == "王小明"
    gone = run("contacts", "remove", shop.ann, first["id"], "--json").document
    assert listed() == [("Li Na", "", False)]
    undone(run, gone)
    assert len(listed()) == 2
    assert run("contacts", "change", shop.ann, second["id"], "--no-main", "--json").document == {"change_set_id": None}
    assert "stood there already" in run("contacts", "change", shop.ann, second["id"], "--name", "Li Na").out


def test_addresses_are_added_listed_changed_and_removed(run: Run, shop: Shop) -> None:
    assert run("addresses", "list", shop.ann).out == "This customer has no addresses yet.\n"
    street = "建国路 88 号\nB 座"
    run("addresses", "add", shop.ann, "--kind", "delivery", "--street", street, "--city", "北京")
    [row] = run("addresses", "list", shop.ann, "--json").document["rows"]
    assert (row["kind"], row["street"], row["city"], row["main"]) == ("delivery", street, "北京", False)
    assert "建国路 88 号, B 座" in run("addresses", "list", shop.ann).out
    run("addresses", "change", shop.ann, row["id"], "--kind", "office")
    assert run("addresses", "list", shop.ann, "--json").document["rows"][0]["kind"] == "office"
    undone(run, run("addresses", "remove", shop.ann, row["id"], "--json").document)
    assert len(run("addresses", "list", shop.ann, "--json").document["rows"]) == 1


@pytest.mark.parametrize(
    ("argv", "code", "field"),
    [
        ("contacts add {ann}", Invalid.code, "name"),
        ("contacts add {ann} --name x --phone 12", Invalid.code, "phone"),
        ("contacts add {ann} --name x --email a@", Invalid.code, "email"),
        ("addresses add {ann} --kind home", Invalid.code, "street"),
        ("addresses add {ann} --kind moon --street x", Usage.code, ""),
        ("contacts change {ann} 1", Usage.code, ""),
        ("contacts change {ann} 999 --name x", NotFound.code, ""),
        ("contacts remove {ann} 999999999999999999", NotFound.code, ""),
        ("addresses remove {ann} 999", NotFound.code, ""),
        ("contacts list 999999", NotFound.code, ""),
        ("consents record {ann} mail given", Invalid.code, "how"),
        ("consents record {ann} mail given --how x --day 2099-01-01", Invalid.code, "happened_at"),
        ("consents record {ann} pigeon given --how x", Usage.code, ""),
        ("tags add {ann} a,b", Invalid.code, "tag"),
        ("tags remove {ann} x", NotFound.code, ""),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(run: Run, shop: Shop, argv: str, code: int, field: str) -> None:
    done = run(*argv.format(ann=shop.ann).split(), "--json")
    assert done.code == code, done.err
    assert list(done.error.get("fields", {})) == ([field] if field else [])
    with connection.begin_owner() as conn:
        assert conn.execute(select(schema.change_sets)).all() == []


def test_nobody_reads_or_changes_what_is_around_a_customer_of_others(run: Run, shop: Shop, people: make.People) -> None:
    run("contacts", "add", shop.cho, "--name", "王小明", "--phone", "138 0013 8000", "--wechat", "wxm")
    run("addresses", "add", shop.cho, "--kind", "home", "--street", "Secret Street 1")
    run("consents", "record", shop.cho, "mail", "refused", "--how", "said so to Cho")
    run("tags", "add", shop.cho, "VIP")
    for call in (
        "contacts list {cho}",
        "contacts add {cho} --name x",
        "contacts change {cho} 1 --name x",
        "contacts remove {cho} 1",
        "addresses list {cho}",
        "addresses change {cho} 1 --city x",
        "addresses remove {cho} 1",
        "consents list {cho}",
        "consents record {cho} mail given --how x",
        "tags list {cho}",
        "tags add {cho} x",
        "tags remove {cho} VIP",
    ):
        for who in ("ann", "mia"):
            done = run(*call.format(cho=shop.cho).split(), "--as", who)
            assert (done.code, done.out) == (NotFound.code, ""), f"{call} as {who}"
    assert run("tags", "list", "--as", "ann", "--json").document == {"rows": []}
    for who in ("ana", "mark"):
        for group in ("contacts", "addresses", "consents"):
            for more in ((), ("--json",)):
                said = run(group, "list", shop.cho, "--as", who, *more).out
                assert said
                for secret in ("王小明", "138", "wxm", "Secret", "said so"):
                    assert secret not in said, f"{group} as {who}"


# --- consents and tags -----------------------------------------------------------------------------------------------


def test_consents_are_recorded_and_the_newest_holds(run: Run, shop: Shop) -> None:
    run("consents", "record", shop.ann, "mail", "given", "--how", "signed the form", "--day", "2026-11-01")
    run("consents", "record", shop.ann, "mail", "withdrawn", "--how", "微信上说的")
    found = run("consents", "list", shop.ann, "--json").document
    assert (found["now"]["mail"]["state"], found["now"]["phone"]["state"]) == ("withdrawn", "")
    assert [(row["state"], row["source"]) for row in found["rows"]] == [
        ("withdrawn", "微信上说的"),
        ("given", "signed the form"),
    ]
    assert "not asked" in run("consents", "list", shop.ann).out


def test_tags_are_added_counted_and_removed_whatever_their_case(run: Run, shop: Shop) -> None:
    assert run("tags", "list").out == "No customer has a tag yet\n"
    run("tags", "add", shop.ann, "VIP")
    run("tags", "add", shop.bo, "vip")
    assert run("tags", "list", "--json").document["rows"] == [{"tag": "VIP", "customers": 2}]
    assert run("tags", "add", shop.ann, "Vip").code == Invalid.code
    undone(run, run("tags", "remove", shop.ann, "ViP", "--json").document)
    assert run("tags", "list", shop.ann).out == "VIP\n"


# --- many at once ----------------------------------------------------------------------------------------------------


def owners() -> dict[int, int]:
    with connection.begin_owner() as conn:
        c = schema.customers.c
        return {i: owner for i, owner in conn.execute(select(c.id, c.owner_id)).all()}


def test_a_dry_run_says_who_would_change_and_changes_nobody(run: Run, shop: Shop) -> None:
    said = run("customers", "bulk", "tag", "VIP", "--region", "North", "--dry-run")
    assert said.out.splitlines() == [
        "1 customer will change.",
        "张三",
        "Nothing was done. To do it, give --count 1 instead of --dry-run.",
    ]
    found = run("customers", "bulk", "archive", "--everybody", "--dry-run", "--json").document
    assert (found["total"], found["changing"], found["changed"], found["change_set_id"]) == (4, 4, 0, None)
    assert run("tags", "list", "--json").document == {"rows": []}
    with connection.begin_owner() as conn:
        assert conn.execute(select(schema.change_sets)).all() == []


def test_filters_need_the_count_of_the_preview_and_no_more_than_it_changes(run: Run, shop: Shop) -> None:
    call = ("customers", "bulk", "tag", "VIP", "--never-contacted")
    refused = run(*call)
    assert (refused.code, refused.out) == (Usage.code, "")
    assert "This would change 4 customers." in refused.err
    assert run(*call, "--count", 3).code == Conflict.code
    assert run("tags", "list", "--json").document == {"rows": []}
    done = run(*call, "--count", 4, "--json").document
    assert (done["changed"], done["names"][0]) == (4, "Bob")
    again = run(*call, "--count", 4)
    assert (again.code, again.err) == (Invalid.code, "None of these customers would change. Nothing was done.\n")
    undone(run, done)
    assert run("tags", "list", "--json").document == {"rows": []}


def test_customers_are_handed_over_archived_and_put_back_by_their_numbers(run: Run, shop: Shop) -> None:
    before = owners()
    done = run("customers", "bulk", "assign", "bo", "--ids", shop.ann, shop.bo, 999_999, "--json").document
    assert (done["total"], done["changed"], done["standing"], done["unseen"]) == (3, 1, 1, 1)
    assert owners() == before | {shop.ann: before[shop.bo]}
    undone(run, done)
    assert owners() == before
    told = run("customers", "bulk", "archive", "--ids", shop.ann, shop.cho).out
    assert told.startswith("2 customers were changed.\n")
    assert "python -m db undo" in told
    assert run("search", "", "--json").document["total"] == 2
    back = run("customers", "bulk", "restore", "--everybody", "--count", 2, "--json").document
    assert back["changed"] == 2
    assert run("search", "", "--json").document["total"] == 4
    run("customers", "bulk", "tag", "Old", "--ids", shop.ann)
    assert run("customers", "bulk", "untag", "OLD", "--tag", "old", "--count", 1, "--json").document["changed"] == 1


def test_each_filter_narrows_as_the_list_does(run: Run, shop: Shop, people: make.People) -> None:
    with connection.begin_owner() as conn:
        c = schema.customers.c
        conn.execute(update(schema.customers).where(c.id == shop.bo).values(source="web"))
    run("tags", "add", shop.cho, "VIP")
    run("customers", "log", shop.ann, "--outcome", "reached")

    def found(*filters: str, who: str = "root") -> set[str]:
        done = run("customers", "bulk", "archive", *filters, "--dry-run", "--json", "--as", who)
        assert done.code == 0, done.err
        return set(done.document["names"])

    assert found("--owner", "bo") == {"Bob"}
    assert found("--owner", "-") == {"Dora"}
    assert found("--team", "Team 2") == {"Charlie"}
    assert found("--region", "South") == {"Bob"}
    assert found("--source", "web") == {"Bob"}
    assert found("--stage", "prospect") == {"Dora"}
    assert found("--tag", "vip") == {"Charlie"}
    assert found("--search", "zs") == {"张三"}
    assert found("--revenue-from", "100") == {"Bob"}
    assert found("--revenue-to", "10") == {"Charlie", "Dora"}
    assert found("--never-ordered") == {"Dora"}
    assert found("--ordered-within", "3650") == {"张三", "Bob", "Charlie"}
    assert found("--not-ordered-for", "3650") == {"Dora"}
    assert found("--contacted-within", "1") == {"张三"}
    assert found("--never-contacted") == {"Bob", "Charlie", "Dora"}
    assert found("--never-contacted", "--region", "South") == {"Bob"}
    assert found("--everybody", who="ann") == {"张三"}
    assert found("--everybody", who="mia") == {"张三", "Bob", "Dora"}


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ("tag VIP", Usage.code),
        ("tag --everybody", Usage.code),
        ("archive now --everybody", Usage.code),
        ("explode --everybody", Usage.code),
        ("archive --ids 1 --region North", Usage.code),
        ("archive --everybody --region North --dry-run", Usage.code),
        ("archive --everybody --dry-run --count 3", Usage.code),
        ("archive --ids 0", Usage.code),
        ("archive --region Moon --dry-run", Invalid.code),
        ("archive --source Moon --dry-run", Invalid.code),
        ("archive --team Moon --dry-run", Invalid.code),
        ("archive --owner nobody-knows --dry-run", NotFound.code),
        ("assign nobody-knows --everybody --dry-run", NotFound.code),
        ("assign ana --everybody --dry-run", Invalid.code),
        ("tag a,b --everybody --dry-run", Invalid.code),
        ("restore --everybody --count 9", Invalid.code),
    ],
)
def test_what_cannot_be_meant_changes_nobody(run: Run, shop: Shop, argv: str, code: int) -> None:
    done = run("customers", "bulk", *argv.split())
    assert (done.code, done.out) == (code, ""), done.err
    with connection.begin_owner() as conn:
        assert conn.execute(select(schema.change_sets)).all() == []


def test_many_are_changed_only_by_whom_it_is_allowed_and_only_theirs(run: Run, shop: Shop) -> None:
    everybody = ("--ids", shop.ann, shop.bo, shop.cho, shop.nobody)
    for who in ("ana", "mark"):
        assert run("customers", "bulk", "tag", "x", *everybody, "--as", who).code == Refused.code
        assert run("customers", "bulk", "assign", "bo", *everybody, "--as", who).code == Refused.code
    done = run("customers", "bulk", "tag", "x", *everybody, "--as", "ann", "--json").document
    assert (done["changed"], done["unseen"], done["names"]) == (1, 3, ["张三"])
    assert run("customers", "bulk", "assign", "cho", *everybody, "--as", "mia", "--json").document["changed"] == 3


def test_progress_is_told_beside_the_document(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("db.bulk_actions.BATCH", "db.terminal.bulk.BATCH"):
        monkeypatch.setattr(module, 1)
    assert bulk_actions.BATCH == 1
    done = run("customers", "bulk", "tag", "x", "--ids", shop.ann, shop.bo, "--json")
    assert done.document["changed"] == 2
    assert done.err.splitlines() == [
        "1 of 2 done; nothing is kept before the end.",
        "2 of 2 done; nothing is kept before the end.",
    ]


def test_a_tag_without_end_is_a_sentence(run: Run, shop: Shop) -> None:
    done = run("customers", "bulk", "tag", "x" * (tags.MOST_TAG + 1), "--ids", shop.ann, "--json")
    assert (done.code, list(done.error["fields"])) == (Invalid.code, ["tag"])
