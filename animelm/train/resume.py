"""What a resumed run must share with the run that wrote its checkpoint."""

from collections.abc import Mapping

from animelm.errors import UserError

_ELSE = "else start from its run's adapter (--model.init_adapter)"


def require_same_processes(written: tuple[int, bool], own: tuple[int, bool]) -> None:
    """Each is the number of processes, and whether they share the model (FSDP2).

    Raises:
        UserError: they differ.
    """
    if written != own:
        processes, sharded = written
        kind = "FSDP2" if sharded else "a strategy other than FSDP2"
        raise UserError(
            f"the checkpoint was written by {processes} processes under {kind}, and is resumed by "
            f"as many under the same; {_ELSE}"
        )


def require_same_settings(written: Mapping[str, object], own: Mapping[str, object]) -> None:
    """Options under --model that a checkpoint's optimiser states and schedule are made for.

    Raises:
        UserError: one differs; those that an older checkpoint does not name are not compared.
    """
    for name, value in own.items():
        if name in written and written[name] != value:
            raise UserError(
                f"the checkpoint was trained with --model.{name}={written[name]}, and this run has "
                f"{value}; resume it with --model.{name}={written[name]}, {_ELSE}"
            )
