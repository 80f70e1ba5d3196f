"""Causes: what statuses and yt-dlp's messages mean, how long to wait, and that credentials are taken out."""

import pytest

from pipelines.fetch.causes import DAY_S, Cause, Failure, of_message, of_status, permanent, scrub, wait_s

MESSAGES = {
    "[youtube] a: Private video. Sign in if you've been granted access to this video. Use --cookies": Cause.PRIVATE,
    "[youtube] a: Video unavailable. This video is private": Cause.PRIVATE,
    "[youtube] a: Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies": Cause.BOT_CHECK,
    "[youtube] a: Sign in to confirm you're not a bot. This helps protect our community. Learn more": Cause.BOT_CHECK,
    "[youtube] a: Sign in to confirm your age. This video may be inappropriate for some users.": Cause.AGE_GATED,
    "[youtube] a: Video unavailable. This video has been removed by the uploader": Cause.REMOVED,
    "[youtube] a: Video unavailable": Cause.REMOVED,
    "[youtube] a: Video unavailable. This video is no longer available because the YouTube account associated with "
    "this video has been terminated.": Cause.REMOVED,
    "[youtube] a: Video unavailable. The uploader has not made this video available in your country": Cause.GEO_BLOCKED,
    "[youtube] a: Video unavailable. This video contains content from SME, who has blocked it in your country on "
    "copyright grounds": Cause.GEO_BLOCKED,
    "[youtube] a: This video has been removed for violating YouTube's policy on hate speech.": Cause.REMOVED,
    "[youtube] a: Join this channel to get access to members-only content like this video": Cause.MEMBERS_ONLY,
    "[youtube] a: Premieres in 3 hours": Cause.NOT_YET,
    "[youtube] a: This live event will begin in 2 days.": Cause.NOT_YET,
    "[youtube] a: Unable to download API page: HTTP Error 429: Too Many Requests": Cause.THROTTLED,
    "[youtube] a: Video unavailable. This content isn't available, try again later. The current session has been "
    "rate-limited by YouTube for up to an hour.": Cause.THROTTLED,
    "unable to download video data: HTTP Error 403: Forbidden": Cause.FORBIDDEN,
    "[generic] a: Unable to download webpage: HTTP Error 404: Not Found": Cause.NOT_FOUND,
    "[generic] Unable to download webpage: HTTP Error 503: Service Unavailable": Cause.SERVER_ERROR,
    "Unable to download webpage: The read operation timed out": Cause.TIMEOUT,
    "[Errno -2] Name or service not known": Cause.CONNECTION,
    "[youtube] a: something never seen before": Cause.EXTRACTOR_ERROR,
}


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_has_its_own_cause(message: str) -> None:
    assert of_message("ERROR: " + message) is MESSAGES[message]


def test_statuses() -> None:
    found = {status: of_status(status) for status in (403, 404, 408, 410, 418, 429, 451, 500, 503, 599)}
    assert found == {
        403: Cause.FORBIDDEN,
        404: Cause.NOT_FOUND,
        408: Cause.TIMEOUT,
        410: Cause.REMOVED,
        418: Cause.HTTP_ERROR,
        429: Cause.THROTTLED,
        451: Cause.GEO_BLOCKED,
        500: Cause.SERVER_ERROR,
        503: Cause.SERVER_ERROR,
        599: Cause.SERVER_ERROR,
    }


def test_permanent_at_once_after_some_tries_or_never() -> None:
    assert permanent(Cause.PRIVATE, 1)
    assert permanent(Cause.NOT_FOUND, 1)
    assert [permanent(Cause.BAD_CONTENT, strike) for strike in (1, 2, 3)] == [False, False, True]
    assert not permanent(Cause.TIMEOUT, 10_000)
    assert not permanent(Cause.THROTTLED, 10_000)


def test_waits_double_within_jitter_and_obey_retry_after() -> None:
    waits = [wait_s(Cause.TIMEOUT, attempt, "item") for attempt in range(1, 8)]
    for attempt, wait in enumerate(waits):
        assert 0.5 * 2**attempt <= wait < 1.5 * 2**attempt
    assert waits == [wait_s(Cause.TIMEOUT, attempt, "item") for attempt in range(1, 8)]
    assert len({wait_s(Cause.TIMEOUT, 1, f"item {n}") for n in range(100)}) == 100
    assert wait_s(Cause.TIMEOUT, 500, "item") < 1.5 * DAY_S
    assert wait_s(Cause.THROTTLED, 1, "item", retry_after_s=120) == 120


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot connect to proxy http://someone:hunter2@proxy.test:3128", "hunter2"),
        ("GET https://bucket.test/a.jpg?X-Amz-Signature=abcdef&X-Amz-Credential=AKIA failed", "abcdef"),
        ("GET https://bucket.test/a.jpg?X-Amz-Signature=abcdef&X-Amz-Credential=AKIA failed", "AKIA"),
        ("Cookie: SID=tellnoone; HSID=x", "tellnoone"),
        ("header Authorization: Bearer tokentoken was refused", "tokentoken"),
        ("password=letmein in the address", "letmein"),
        ("__Secure-3PSID=g.a000 was rejected", "g.a000"),
    ],
)
def test_credentials_are_scrubbed(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in scrub(text)
    assert secret not in str(Failure(Cause.CONNECTION, text))


def test_harmless_text_stays() -> None:
    text = "HTTP 404 Not Found at https://images.test/train2017/000000000030.jpg"
    assert scrub(text) == text
