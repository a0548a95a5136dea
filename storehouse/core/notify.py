"""Notices to people, by Apprise: to mail, Slack, Teams, a web hook and many others."""

import logging
import re
from collections.abc import Sequence

from storehouse.core.progress import note
from storehouse.core.shown import HIDDEN, without_secrets

logger = logging.getLogger(__name__)


class _WithoutUrls(logging.Filter):
    """For Apprise's logger: any part of a service's URL may be a token, so none is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"://.*", f"://{HIDDEN}", without_secrets(record.getMessage())), None
        return True


logging.getLogger("apprise").addFilter(_WithoutUrls())


def deliver(urls: Sequence[str], title: str, lines: Sequence[str]) -> bool:
    """Send a notice to each of these services; errors are logged and not raised.

    Returns:
        True if any of them took it: to send it again would be to tell that one twice.
    """
    taken = 0
    for url in urls:
        try:
            import apprise

            service = apprise.Apprise()
            # As text: the service must not take what an error quotes for markup.
            body = {"body": "\n".join(lines), "body_format": apprise.NotifyFormat.TEXT}
            taken += bool(service.add(url) and service.notify(title=title, **body))
        except Exception as error:
            # Without the error's message: all of a service's URL is secret, even its host.
            logger.warning("The notice was not delivered (%s): %s", type(error).__name__, title)
    if taken:
        note(f"notice sent: {title}")
    if taken < len(urls):
        logger.warning("The notice did not reach every service: %s", title)
    return taken > 0
