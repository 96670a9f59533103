import logging
import time
from email.utils import formatdate

import pytest

from britekit.collect.pacing import Interrupted, Pacer, retry_after
from britekit.collect.web import Gone, Limits, Refused, Web, WebError

from .fake_sites import KEY, FakeSites, make_audio


def ask(web, site, **params):
    return web.get_json(f"{site.address}/xc", {"query": 'en:"owl"', "key": KEY, "page": 1} | params)


def test_says_who_is_asking(web, site):
    ask(web, site)
    agent = site.asked[0][2]["User-Agent"]
    assert agent.startswith("britekit/") and "recordings" in agent


@pytest.mark.parametrize("fault", ["503", "500", "502", "504", "429", "reset"])
def test_passing_failures_are_asked_again_three_times(web, site, fault):
    site.faults["/xc"] = [fault] * 3
    assert ask(web, site)["recordings"] == []
    assert site.count("/xc") == 4
    site.faults["/xc"] = [fault] * 4
    with pytest.raises(Refused, match="tried 4 times"):
        ask(web, site)
    assert site.count("/xc") == 8


def test_pauses_grow(site):
    site.faults["/xc"] = ["503"] * 3
    with Web(Limits(pause_s=0, retry_s=0.1), [KEY]) as web:
        ask(web, site)
    moments = [moment for *_, moment in site.asked]
    gaps = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert 0.1 <= gaps[0] < 0.2 <= gaps[1] < 0.4 <= gaps[2]


@pytest.mark.parametrize("status", ["400", "401", "403", "422"])
def test_other_errors_end_it_at_once(web, site, status):
    site.faults["/xc"] = [status]
    with pytest.raises(WebError, match=f"answered {status}"):
        ask(web, site)
    assert site.count("/xc") == 1


def test_what_is_not_there_is_gone(web, site):
    with pytest.raises(Gone, match="404"):
        web.get_json(f"{site.address}/nothing")


def test_retry_after_in_seconds_is_obeyed(web, site):
    site.faults["/xc"] = ["429:1"]
    ask(web, site)
    assert site.asked[1][3] - site.asked[0][3] >= 1.0


def test_retry_after_as_a_date_is_obeyed(web, site):
    site.faults["/xc"] = ["503:" + formatdate(time.time() + 2, usegmt=True)]
    ask(web, site)
    # a date has whole seconds
    assert site.asked[1][3] - site.asked[0][3] >= 0.9


def test_a_site_that_wants_a_long_rest_gets_it(web, site):
    site.faults["/xc"] = ["429:86400"]
    with pytest.raises(Refused, match="asks to wait 86400 s"):
        ask(web, site)
    assert site.count("/xc") == 1


@pytest.mark.parametrize(
    "text, seconds", [("5", 5.0), ("0", 0.0), (" 12 ", 12.0), ("soon", None), ("", None), (None, None), ("-3", None)]
)
def test_retry_after_values(text, seconds):
    assert retry_after(text) == seconds
    assert retry_after(formatdate(time.time() - 1000, usegmt=True)) == 0.0
    assert retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)


def test_requests_to_one_host_keep_their_distance(site):
    start = time.monotonic()
    with Web(Limits(pause_s=0.15), [KEY]) as web:
        for _ in range(3):
            ask(web, site)
    # how long each is on its way differs, but none can arrive before its turn
    assert all(asked[3] - start >= 0.15 * turn for turn, asked in enumerate(site.asked))


def test_waiting_ends_when_the_work_is_to_stop(web):
    pacer = Pacer(100.0, web.stop)
    pacer.wait("a")
    web.stop.set()
    with pytest.raises(Interrupted):
        pacer.wait("a")


@pytest.mark.parametrize("fault", ["html", "empty"])
def test_a_page_that_is_no_json(web, site, fault):
    site.faults["/xc"] = [fault]
    with pytest.raises(WebError, match="instead of JSON"):
        ask(web, site)


def test_a_cut_page_is_asked_again(web, site):
    site.add_recording(1, en="Big Owl")
    site.files["/page"] = (b'{"a": [' + b"1," * 5000 + b"1]}", "application/json")
    site.faults["/page"] = ["cut"]
    assert len(web.get_json(f"{site.address}/page")["a"]) == 5001
    assert site.count("/page") == 2


def test_a_page_may_not_be_endless(site):
    site.faults["/xc"] = ["endless"]
    with (
        Web(Limits(pause_s=0, max_page_bytes=1 << 20)) as web,
        pytest.raises(WebError, match="exceeds the limit of 1048576"),
    ):
        ask(web, site)


def test_a_page_may_not_drip_for_ever(site):
    site.faults["/xc"] = ["drip"] * 9
    start = time.monotonic()
    with Web(Limits(pause_s=0, retry_s=0.01, whole_s=0.5)) as web, pytest.raises(Refused, match="longer than"):
        ask(web, site)
    assert time.monotonic() - start < 3


def test_silence_ends(site):
    import socket

    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        limits = Limits(pause_s=0, retry_s=0.01, read_s=0.2, tries=2)
        with Web(limits, [KEY]) as web, pytest.raises(Refused, match="no data for"):
            web.get_json(f"http://127.0.0.1:{quiet.getsockname()[1]}/xc", {"key": KEY})


def test_nobody_there(web):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Refused, match="refused") as caught:
        web.get_json(f"http://127.0.0.1:{port}/xc", {"key": KEY})
    assert KEY not in str(caught.value)


class TestRedirects:
    def test_are_followed_on_the_same_host(self, web, site):
        site.faults["/xc"] = ["redirect:/xc?query=en:owl&key=s3cr%26t%2Fkey%2B1&page=1"]
        assert ask(web, site)["recordings"] == []

    def test_lead_to_audio_on_other_hosts_without_the_key(self, web, site):
        other = FakeSites("127.0.0.2")
        other.files["/a.mp3"] = (make_audio(1), "audio/mpeg")
        site.faults["/xc"] = [f"redirect:{other.address}/a.mp3"]
        with pytest.raises(WebError, match="instead of JSON"):
            ask(web, site)
        assert other.asked and all(KEY not in str(asked) and asked[1] == {} for asked in other.asked)
        other.close()

    @pytest.mark.parametrize("spelling", [KEY, "s3cr%26t%2Fkey%2B1", "S3CR%26T%2fkey%2b1", "s3cr%2526t%252Fkey%252B1"])
    def test_do_not_carry_the_key_to_another_host(self, web, site, spelling):
        other = FakeSites("127.0.0.2")
        site.faults["/xc"] = [f"redirect:{other.address}/xc?key={spelling}"]
        with pytest.raises(WebError, match="to another host with the key; not followed") as caught:
            ask(web, site)
        assert not other.asked and "s3cr" not in str(caught.value).casefold()
        other.close()

    def test_end(self, web, site):
        site.faults["/xc"] = ["redirect:/xc"] * 20
        with pytest.raises(WebError, match="redirected more than 5 times"):
            ask(web, site)

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x/y", "//[::1", "javascript:1"])
    def test_go_to_web_addresses_only(self, web, site, target):
        site.faults["/xc"] = [f"redirect:{target}"]
        with pytest.raises(WebError, match="is not an address|cannot be requested"):
            ask(web, site)

    def test_do_not_leave_https(self, web):
        with pytest.raises(WebError, match="unprotected http"):
            web._address("http://a/b", "https://a/b")


def test_an_address_with_the_key_in_it_is_not_asked(web, site):
    with pytest.raises(WebError, match="contains the key") as caught:
        web.request(f"{site.address}/audio?key=s3cr%26t%2Fkey%2B1")
    assert not site.asked and "s3cr" not in str(caught.value)


@pytest.mark.parametrize("fault", ["401", "403", "503", "429:0", "reset", "html"])
def test_the_key_reaches_no_message_and_no_log(web, site, fault, caplog):
    """The site echoes it in its errors; the libraries log the addresses they ask."""
    caplog.set_level(logging.DEBUG)
    for name in ("", "urllib3", "requests", "britekit"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger("britekit").propagate = True
    site.faults["/xc"] = [fault] * 9
    with pytest.raises(WebError) as caught:
        ask(web, site)
    seen = str(caught.value) + caplog.text + repr(caught.value.args)
    assert "s3cr" not in seen and "%26t%2F" not in seen
    assert "GET /xc" in caplog.text or fault == "reset", "urllib3's lines are there, only cleaned"
    if fault in ("401", "403"):
        assert "not now; you asked" in str(caught.value) and "[key]" in str(caught.value)
