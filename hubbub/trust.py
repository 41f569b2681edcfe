"""Which certificates a client believes: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where set, as OpenSSL's own programs do.

They take the place of the public authorities and hold for every server, this machine itself included. Without them the choice is
left to httpx: the authorities that certifi lists.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from .refusals import TalkError

FILE_VARIABLE: Final = "SSL_CERT_FILE"
FOLDER_VARIABLE: Final = "SSL_CERT_DIR"


def trusted() -> ssl.SSLContext | bool:
    """What httpx takes as `verify`.

    Raises:
        TalkError: a variable names what cannot be read, or a file without certificates.
    """
    file = os.environ.get(FILE_VARIABLE) or None  # noqa: TID251  OpenSSL's variables, no configuration of ours
    folder = os.environ.get(FOLDER_VARIABLE) or None  # noqa: TID251
    if file is None and folder is None:
        return True
    if folder is not None and not Path(folder).is_dir():
        raise TalkError(f"{FOLDER_VARIABLE} names {folder!r}, which is no directory")
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except ssl.SSLError as error:
        raise TalkError(f"{FILE_VARIABLE} names {file!r}, in which no certificates are") from error
    except OSError as error:
        raise TalkError(f"{FILE_VARIABLE} names {file!r}, which cannot be read: {error.strerror}") from error
