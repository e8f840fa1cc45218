"""Everything that is found out by asking, beside watching sources: who asks whom after each pass."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.decision import Decision
from kvsync.shell.gateway_logs import GatewayLogs
from kvsync.shell.interviews import Interviews
from kvsync.shell.last_words import LastWordsDesk
from kvsync.shell.strangers import Strangers
from kvsync.shell.tokenizers import Tokenizers

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Inquiries:
    """Those who ask: engines, what a name stands for, the logs of what crashed and of gateways, the
    tokenizer that a gateway is to be told of."""

    interviews: Interviews
    strangers: Strangers
    last_words: LastWordsDesk
    gateway_logs: GatewayLogs
    tokenizers: Tokenizers

    def ask(self, key: Key, decision: Decision) -> None:
        """Ask what a pass over an object left open."""
        self.interviews.ask(key, decision.questions)
        self.strangers.ask(key, decision.missing)
        self.last_words.ask(key, decision.crashed)
        self.gateway_logs.want(key, decision.gateway)
        self.tokenizers.ask(key, decision.tokenizer)

    def forget(self, key: Key) -> None:
        """Nothing is asked any more for an object that is gone."""
        self.gateway_logs.want(key, None)
        self.tokenizers.ask(key, None)
