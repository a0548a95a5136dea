"""A real mail server, which keeps what it is sent, asks for a password, and refuses whom it does not know."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from storehouse.laptop.server import free_port

USER, PASSWORD, TO = "r3porter", "hunter2hunter2", "sales@example.org"
NOBODY = "gone@example.org"


class Mails:
    """A mail server.

    Attributes:
        port: it listens on.
        received: the mails, in the order in which they came.
        to: whom each was for.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[EmailMessage] = []
        self.to: list[list[str]] = []
        self.url = f"mailto://{USER}:{PASSWORD}@127.0.0.1:{port}/?mode=insecure&from=shop@example.org&to={TO}"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if address == NOBODY:
            return "550 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        self.to.append(envelope.rcpt_tos)
        return "250 OK"

    def taken(self) -> list[EmailMessage]:
        """What came since one asked last."""
        mails, self.received = self.received, []
        return mails


def _login(_: SMTP, __: Session, ___: Envelope, ____: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()))


@contextmanager
def mail_server() -> Iterator[Mails]:
    """One that runs."""
    mails = Mails(port := free_port())
    login = {"authenticator": _login, "auth_required": True, "auth_require_tls": False}
    server = Controller(mails, "127.0.0.1", port, **login)
    server.start()
    try:
        yield mails
    finally:
        server.stop()


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """What a person reads of it; `html`: the other part."""
    part = mail.get_body((kind,))
    assert part is not None
    return part.get_content()
