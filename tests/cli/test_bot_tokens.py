"""Tokens from other programs, as they come by stdin."""

import pytest

from deployments.cli.bot_tokens import read_csv, read_env
from deployments.cli.failures import CommandError
from tasks.domain.new_bots import OAuth1Credentials, OAuth2Credentials
from tests.cli.conftest import Terminal

SECRET = "planted-secret"  # pragma: allowlist secret
HEAD = "bot,access_token,refresh_token,api_key,api_key_secret,access_token_secret,labels,expires_in\n"


def refusal(text: str) -> str:
    with pytest.raises(CommandError) as caught:
        read_csv(text)
    assert SECRET not in caught.value.text
    return caught.value.text


def test_a_spreadsheet_holds_both_kinds() -> None:
    found = read_csv(f"\ufeff{HEAD}@one,a,r,,,,city|tram\n\ntwo,a,,key,{SECRET},s\n")
    assert list(found) == [2, 4]
    assert isinstance(found[2].credentials, OAuth2Credentials)
    assert (found[2].bot_name, found[2].labels) == ("one", ("city", "tram"))
    assert isinstance(found[4].credentials, OAuth1Credentials)


def test_what_is_wrong_is_named_by_line_and_column_and_never_repeated() -> None:
    rows = [
        f"no name,{SECRET}",
        f"two,{SECRET},,key",
        f"three,{SECRET},{SECRET},key,k,s",
        f"four,{SECRET},,,,,,{SECRET}",
        f"five,a\nfive,{SECRET}",
        f"six,a,,,,,,,{SECRET}",
    ]
    said = refusal(HEAD + "\n".join(rows)).splitlines()
    places = [line.partition(": ")[0] for line in said]
    assert places == [
        "line 2, column 1 (bot)",
        "line 3, column 5 (api_key_secret)",
        "line 3, column 6 (access_token_secret)",
        "line 4, column 3 (refresh_token)",
        "line 5, column 8 (expires_in)",
        "line 7, column 1 (bot)",
        "line 8, column 9",
    ]
    assert said[1].endswith("is missing; add it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the column 'bot' is missing"),
        (HEAD, "stdin: there is no account in it"),
        (f"one,{SECRET}\n", "line 1: the column 'bot' is missing"),
        (f"bot,access_token,bot\none,{SECRET}", "line 1, column 3: 'bot' stands twice"),
        (f'bot,access_token\none,"{SECRET}', "line 2: the quotes of this row do not match"),
    ],
)
def test_a_file_that_is_no_use_says_so_in_one_line(text: str, said: str) -> None:
    assert said in refusal(text)


def test_an_env_file_as_programs_by_tweepy_have_it() -> None:
    text = (
        "# keys\nDATABASE_URL=postgres://x\nexport TWITTER_CONSUMER_KEY='key'\nCONSUMER_SECRET=b # of the app\n"
        f'X_ACCESS_TOKEN = "{SECRET}"\nACCESS_TOKEN_SECRET=d\n'
    )
    [(line, bot)] = read_env(text, "one", {}).items()
    assert (line, bot.bot_name) == (5, "one")
    assert isinstance(bot.credentials, OAuth1Credentials)
    assert bot.credentials.api_key_secret.get_secret_value() == "b"
    assert bot.credentials.access_token.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"ACCESS_TOKEN={SECRET}\nX_ACCESS_TOKEN={SECRET}", "line 2, column 1: says what line 1 says"),
        (f"ACCESS_TOKEN='{SECRET}", "line 1, column 14: the quote does not end"),
        (f"ACCESS_TOKEN=a\n{SECRET}", "line 2, column 1: is no assignment"),
        (f"API_KEY={SECRET}", "stdin: there is no ACCESS_TOKEN in it"),
        (f"ACCESS_TOKEN={SECRET}\nAPI_KEY=k\nAPI_SECRET=s", "stdin: access_token_secret: is missing"),
    ],
)
def test_an_env_file_that_is_no_use_says_where(text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_env(text, "one", {})
    assert said in caught.value.text
    assert SECRET not in caught.value.text


async def test_nothing_is_sent_where_one_line_is_wrong(stack: Terminal) -> None:
    attest = ("--attest", "Anna Berger, head of press")
    wrong = await stack("bots", "adopt", *attest, stdin=f"bot,access_token\none,{SECRET}\nno name,{SECRET}\n")
    assert wrong.code == 2
    assert "line 3, column 1 (bot)" in wrong.err
    assert SECRET not in wrong.out + wrong.err
    assert (await stack("bots", "list", "--json")).out == "[]\n"
    looked = await stack("bots", "adopt", *attest, "--dry-run", stdin=f"bot,access_token\none,{SECRET}\n")
    assert (looked.code, looked.out) == (0, "1 accounts can be read; nothing was sent\n")
    unnamed = await stack("bots", "adopt", *attest, "--env", stdin=f"ACCESS_TOKEN={SECRET}")
    assert unnamed.code == 2
