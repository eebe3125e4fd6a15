"""What language models were asked: pages, limits, and messages that stay together."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path

from sdcpp_rest.core.chat import Action, ActionRequest, ConversationMessage, Enhancement
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.history_store import Conversation, EnhancementHistory

AT = datetime(2024, 1, 1, 12, 0, 0, 5, tzinfo=timezone.utc)


def entry(number: int, **fields: object) -> Enhancement:
    made = Enhancement(
        id=f"id{number}", original_prompt=f"prompt {number}", model_used="m", created_at=AT, success=True
    )
    return made.model_copy(update={"enhanced_prompt": "better", **fields})


def test_an_entry_comes_back_as_it_was(db: Database) -> None:
    history = EnhancementHistory(db)
    failed = entry(1, success=False, enhanced_prompt="", error_message="no \ud83d server")
    history.add(failed, 10)
    assert history.get("id1") == failed.model_copy(update={"error_message": "no ? server"})
    assert history.get("id2") is None


def test_pages_are_newest_first_with_the_whole_count(db: Database) -> None:
    history = EnhancementHistory(db)
    for number in range(5):
        history.add(entry(number), 100)
    total, page = history.page(limit=2, offset=1)
    assert (total, [found.id for found in page]) == (5, ["id3", "id2"])
    assert history.page(limit=10, offset=99) == (5, [])


def test_the_oldest_go_when_there_are_too_many(db: Database) -> None:
    history = EnhancementHistory(db)
    for number in range(5):
        history.add(entry(number), 3)
    assert [found.id for found in history.page(10, 0)[1]] == ["id4", "id3", "id2"]
    history.trim(1)
    assert (history.count(), history.get("id4") is not None) == (1, True)


def test_one_entry_or_all_are_forgotten(db: Database) -> None:
    history = EnhancementHistory(db)
    for number in range(3):
        history.add(entry(number), 10)
    assert history.delete("id1") is True
    assert history.delete("id1") is False
    assert history.count() == 2
    history.clear()
    assert history.page(10, 0) == (0, [])


def test_a_message_comes_back_with_its_actions(db: Database) -> None:
    conversation = Conversation(db)
    request = ActionRequest(method="POST", url="/models/load", body={"model_name": "ä"})
    said = ConversationMessage(
        role="assistant",
        content="I load it",
        created_at=AT,
        actions=(Action(type="load_model", parameters={"model_name": "ä"}, request=request),),
    )
    asked = ConversationMessage(role="user", content="load", created_at=AT)
    conversation.add((asked, said), 10)
    assert conversation.newest(10) == [asked, said]


def test_the_newest_messages_stay_in_the_order_in_which_they_were_said(db: Database) -> None:
    conversation = Conversation(db)
    for number in range(4):
        conversation.add((ConversationMessage(role="user", content=str(number)),), 3)
    assert [said.content for said in conversation.newest(10)] == ["1", "2", "3"]
    assert [said.content for said in conversation.newest(2)] == ["2", "3"]
    conversation.trim(1)
    assert conversation.count() == 1
    conversation.clear()
    assert conversation.newest(10) == []


def test_messages_that_belong_together_are_not_torn_apart(db: Database) -> None:
    conversation = Conversation(db)

    def talk(number: int) -> None:
        for _ in range(10):
            pair = (
                ConversationMessage(role="user", content=str(number)),
                ConversationMessage(role="assistant", content=str(number)),
            )
            conversation.add(pair, 1000)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    said = conversation.newest(1000)
    assert len(said) == 120
    for question, answer in zip(said[::2], said[1::2], strict=True):
        assert (question.role, answer.role, question.content) == ("user", "assistant", answer.content)


def test_histories_survive_reopening(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    EnhancementHistory(db).add(entry(1), 10)
    Conversation(db).add((ConversationMessage(role="user", content="x"),), 10)
    db.close()
    db = Database(tmp_path / "rest.db")
    assert EnhancementHistory(db).count() == 1
    assert Conversation(db).count() == 1
    db.close()
