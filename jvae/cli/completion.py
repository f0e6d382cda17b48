"""`jvae completion`: what makes Tab complete commands and their flags, in bash or zsh."""

import importlib
from typing import Literal

from jvae.cli.main import COMMANDS, find_command
from jvae.cli.run import DEBUG, flags_of

SCRIPT = """\
_jvae() {
    local word=${COMP_WORDS[COMP_CWORD]} words=
    case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
%s
    esac
    [ "$COMP_CWORD" = 1 ] && words="%s"
    case "$COMP_CWORD$word" in
        1*|*-*|2*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
        *) COMPREPLY=() ;;
    esac
}
complete -o default -F _jvae jvae
"""


def main(shell: Literal["bash", "zsh"] = "bash", /) -> None:
    """Prints what makes Tab complete the commands and their flags: eval "$(jvae completion bash)" in ~/.bashrc.

    Args:
      shell: shell that will read it, bash or zsh.
    """
    cases = []
    for command in COMMANDS:
        module = importlib.import_module(f"jvae.cli.{command.replace('-', '_')}")
        first = tuple(getattr(module, "WORDS", ()))
        for word in first:
            cases.append((f'"{command} {word}"', _flags(command, [word])))
        cases.append((f'"{command} "*', [*first, *([] if first else _flags(command, []))]))
    lines = "\n".join(f'        {pattern}) words="{" ".join(words)}" ;;' for pattern, words in cases)
    print("autoload -U +X bashcompinit && bashcompinit\n" * (shell == "zsh") + SCRIPT % (lines, " ".join(COMMANDS)))


def _flags(command: str, words: list[str]) -> list[str]:
    return [*flags_of(find_command(command, words)[0]), DEBUG]
