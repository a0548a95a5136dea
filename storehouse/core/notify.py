"""Notices to people, by Apprise: to mail, Slack, Teams, a web hook and many others."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storehouse.core.progress import note
from storehouse.core.shown import HIDDEN, without_secrets

logger = logging.getLogger(__name__)

# What Apprise's services call those whom they tell, each a list: mail and most others, Slack, ntfy.
_RECIPIENTS = ("targets", "channels", "topics")


class _WithoutUrls(logging.Filter):
    """For Apprise's logger: any part of a service's URL may be a token, so none is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"://.*", f"://{HIDDEN}", without_secrets(record.getMessage())), None
        return True


logging.getLogger("apprise").addFilter(_WithoutUrls())


def deliver(
    urls: Sequence[str],
    title: str,
    lines: Sequence[str],
    *,
    is_html: bool = False,
    pictures: Mapping[str, bytes] | None = None,
    log_name: str | None = None,
) -> bool:
    """Send a notice to each of these services; errors are logged and not raised.

    Args:
        urls: of services, as Apprise reads them.
        title: the subject of a mail.
        lines: of the notice.
        is_html: the lines are HTML: a mail has them as text too, a service that takes no HTML gets text.
        pictures: attached, by the name of the file: PNG.
        log_name: what the log calls it, if the title says more than a log may.

    Returns:
        True if any of them took it, be it one of several recipients of a mail: to send it again would be to tell that
        one twice.
    """
    about = log_name or title
    taken: list[bool] = []
    for url in urls:
        try:
            import apprise
            from apprise.attachment.memory import AttachMemory

            # Else as text: the service must not take what an error quotes for markup.
            form = apprise.NotifyFormat.HTML if is_html else apprise.NotifyFormat.TEXT
            attached = [AttachMemory(content, name, "image/png") for name, content in (pictures or {}).items()]
            notice = {"title": title, "body": "\n".join(lines), "body_format": form, "attach": attached or None}
            for service in _one_by_one(url):
                taken.append(bool(service.notify(**notice)))
        except Exception as error:
            taken.append(False)
            # Without the error's message: all of a service's URL is secret, even its host.
            logger.warning("The notice was not delivered (%s): %s", type(error).__name__, about)
    if any(taken):
        note(f"notice sent: {about}")
    if not all(taken):
        logger.warning("The notice did not reach every service: %s", about)
    return any(taken)


def _one_by_one(url: str) -> Iterator[Any]:
    """A URL's service for each of its recipients: of several at once Apprise says only whether all took a notice."""
    import apprise

    named = apprise.Apprise()
    named.add(url)
    for server in named:
        service = apprise.Apprise()
        service.add(server)
        several = {name: value for name in _RECIPIENTS if isinstance(value := getattr(server, name, None), list)}
        # They are all that it tells: Apprise's own count has each as often as it may be tried.
        alone = [name for name, value in several.items() if 1 < len(value) == len(server) // (server.retry + 1)]
        for name in alone:
            for recipient in several[name]:
                setattr(server, name, [recipient])
                yield service
        if not alone:
            yield service
    if not named:
        yield named
