"""X's words: both generations of names, absent as None, and nothing sent that X would refuse for its shape."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from blocks.x.wire import CreatedPost, CreatePost, Envelope, Page, Post, TokenAnswer, User

NEW = {
    "id": "12",
    "note_post": {"text": "long"},
    "referenced_posts": [{"type": "replied_to", "id": "11"}],
    "edit_history_post_ids": ["12"],
    "public_metrics": {"repost_count": 3, "reply_count": 0},
}
OLD = {
    "id": "12",
    "note_tweet": {"text": "long"},
    "referenced_tweets": [{"type": "replied_to", "id": "11"}],
    "edit_history_tweet_ids": ["12"],
    "public_metrics": {"retweet_count": 3, "reply_count": 0},
}


def test_both_generations_of_a_post_read_the_same() -> None:
    new, old = Post.model_validate(NEW), Post.model_validate(OLD)
    assert new == old
    assert new.public_metrics is not None and new.public_metrics.repost_count == 3
    assert new.referenced_posts is not None and new.referenced_posts[0].id == "11"


def test_both_generations_of_an_account_and_of_a_created_post_read_the_same() -> None:
    new = {"id": "7", "username": "a", "public_metrics": {"post_count": 5}, "pinned_post_id": "1"}
    old = {"id": "7", "username": "a", "public_metrics": {"tweet_count": 5}, "pinned_tweet_id": "1"}
    assert User.model_validate(new) == User.model_validate(old)
    created = [{"id": "1", name: ["1"]} for name in ("edit_history_post_ids", "edit_history_tweet_ids")]
    assert CreatedPost.model_validate(created[0]) == CreatedPost.model_validate(created[1])


def test_absent_is_none_and_zero_is_zero() -> None:
    metrics = Post.model_validate(NEW).public_metrics
    assert metrics is not None
    assert metrics.reply_count == 0
    assert metrics.impression_count is None
    assert Post.model_validate({"id": "1"}).public_metrics is None


def test_a_new_word_of_x_does_not_break_an_answer() -> None:
    assert Post.model_validate({"id": "1", "hologram": {"depth": 3}}).id == "1"


def test_an_empty_page_is_empty_only_by_its_count() -> None:
    assert Page[Post].model_validate_json(b'{"meta":{"result_count":0}}').data == []
    assert Page[Post].model_validate_json(b'{"meta":{"result_count":1}}').data is None
    assert Envelope[CreatedPost].model_validate_json(b"{}").data is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": ""},
        {"text": "a", "media": {"media_ids": ["1"]}, "poll": {"options": ["a", "b"], "duration_minutes": 5}},
        {"text": "a", "media": {"media_ids": ["1"]}, "quote_tweet_id": "5"},
        {"text": "a", "quote_tweet_id": "5", "poll": {"options": ["a", "b"], "duration_minutes": 5}},
        {"text": "a", "media": {"media_ids": []}},
        {"text": "a", "media": {"media_ids": ["1", "2", "3", "4", "5"]}},
        {"text": "a", "reply": {"in_reply_to_tweet_id": "abc"}},
        {"text": "a", "reply_settings": "everyone"},
        {"text": "a", "nullcast": True},
        {"text": "\ud800"},
    ],
)
def test_what_x_would_refuse_for_its_shape_is_refused_here(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CreatePost.model_validate(fields)


@pytest.mark.parametrize(
    ("options", "duration_minutes", "fits"),
    [
        (["a", "b"], 5, True),
        (["a", "b" * 25, "c", "d"], 10_080, True),
        (["a"], 5, False),
        (["a", "b", "c", "d", "e"], 5, False),
        (["a", ""], 5, False),
        (["a", "b" * 26], 5, False),
        (["a", "\ud800"], 5, False),
        (["a", "b"], 4, False),
        (["a", "b"], 10_081, False),
    ],
)
def test_a_poll_has_the_bounds_of_x(options: list[str], duration_minutes: int, fits: bool) -> None:
    poll = {"options": options, "duration_minutes": duration_minutes}
    if fits:
        post = CreatePost.model_validate({"text": "rain?", "poll": poll})
        assert json.loads(post.model_dump_json(exclude_none=True))["poll"] == poll
    else:
        with pytest.raises(ValidationError):
            CreatePost.model_validate({"text": "rain?", "poll": poll})


def test_what_is_not_said_is_not_sent() -> None:
    post = CreatePost.model_validate(
        {"media": {"media_ids": ["1"]}, "reply": {"in_reply_to_tweet_id": "2"}, "made_with_ai": True}
    )
    assert json.loads(post.model_dump_json(exclude_none=True)) == {
        "text": "",
        "media": {"media_ids": ["1"]},
        "reply": {"in_reply_to_tweet_id": "2"},
        "made_with_ai": True,
    }


def test_tokens_are_not_shown() -> None:
    told = TokenAnswer.model_validate(
        {"access_token": "s3cret", "refresh_token": "s3cret", "token_type": "bearer", "expires_in": 7200}
    )
    assert "s3cret" not in repr(told)
