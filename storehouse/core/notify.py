"""Notices to people, by Apprise: to mail, Slack, Teams, a web hook and many others."""

import logging
import re
from collections.abc import Mapping, Sequence

from storehouse.core.progress import note
from storehouse.core.shown import HIDDEN, without_secrets

logger = logging.getLogger(__name__)


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
) -> bool:
    """Send a notice to each of these services; errors are logged and not raised.

    Args:
        urls: of services, as Apprise reads them.
        title: the subject of a mail.
        lines: of the notice.
        is_html: the lines are HTML: a mail has them as text too, a service that takes no HTML gets text.
        pictures: attached, by the name of the file: PNG.

    Returns:
        True if any of them took it: to send it again would be to tell that one twice.
    """
    taken = 0
    for url in urls:
        try:
            import apprise
            from apprise.attachment.memory import AttachMemory

            service = apprise.Apprise()
            # Else as text: the service must not take what an error quotes for markup.
            form = apprise.NotifyFormat.HTML if is_html else apprise.NotifyFormat.TEXT
            attached = [AttachMemory(content, name, "image/png") for name, content in (pictures or {}).items()]
            notice = {"title": title, "body": "\n".join(lines), "body_format": form, "attach": attached or None}
            taken += bool(service.add(url) and service.notify(**notice))
        except Exception as error:
            # Without the error's message: all of a service's URL is secret, even its host.
            logger.warning("The notice was not delivered (%s): %s", type(error).__name__, title)
    if taken:
        note(f"notice sent: {title}")
    if taken < len(urls):
        logger.warning("The notice did not reach every service: %s", title)
    return taken > 0
