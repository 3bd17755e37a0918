"""Which chain answers for a view: decided from histories alone, without reading data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date

from seamline.entries.batch import Verified
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.frontier import START, Frontier
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory, Forgetting
from seamline.history.speed import SpeedHistory, segment_of
from seamline.schemas.catalogue import Catalogue, dropped_view
from seamline.schemas.stored import check_version
from seamline.schemas.views.definition import Definition
from seamline.segment import Chain, Segment, build_chain


@dataclass(frozen=True)
class ChainBase:
    """Where a chain begins: a batch version, or the origin of the stream."""

    version: int | None
    """None: the origin."""

    cut: Frontier

    verified: Verified | None = None
    """What of the version was."""

    skipped: tuple[str, ...] = ()
    """Its dates that an operator wanted recomputed and then left as they were."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract, the event date before which it holds nothing, since raw does not any more."""


def is_seam(error: SeamlineError) -> bool:
    """Whether a chain could not be built; a newer look at the ledger may show one."""
    return error.condition in (Condition.SEAM_HOLE, Condition.SEAM_OVERLAP, Condition.VIEW_NOT_READY)


def topics_only(cut: Frontier) -> Frontier:
    """Chains compare the stream's topics; whole imports are beside them."""
    return cut.only(source for source in cut.sources if not source.startswith("import:"))


def origin_of(history: SpeedHistory) -> Frontier:
    """Where the stream began, as far as epochs still say so."""
    return START if history.beginning is None else history.beginning


def served_definition(catalogue: Catalogue, state: Published) -> tuple[Definition, str]:
    """What a view's state serves, compiled, and its stream. Raises VIEW_UNKNOWN (dropped) or KERNEL_VERSION."""
    if state.served is None:
        raise dropped_view(state.view)
    definition = catalogue.definition(state.served)
    if definition.hash != state.served:
        raise TerminalError(
            Condition.KERNEL_VERSION,
            f"view {state.view} is served by definition {state.served}, which this release compiles otherwise",
            detail=f"definition {definition.hash}",
            hint="run 'seamline views apply' and 'seamline batch rebuild', or serve with the release that wrote it",
        )
    return definition, catalogue.stream(state.served)


def served_base(state: Published, definition: Definition, batch: BatchHistory, history: SpeedHistory) -> ChainBase:
    """The base that a view's state names. Raises VIEW_NOT_READY, KERNEL_VERSION or OUT_OF_RETENTION."""
    if state.version is None:
        if not history.last_epoch and history.claim is None:  # claimed, it reads: nothing was sent so far
            hint = "start the speed layer: 'seamline up', or 'seamline run speed'"
            raise not_ready(state.view, "nothing was read yet: no speed layer was ever started", hint)
        return ChainBase(None, origin_of(history))
    return version_base(definition, batch, state.version, history)


def version_base(definition: Definition, batch: BatchHistory, number: int, history: SpeedHistory) -> ChainBase:
    """A batch version as a base. Raises KERNEL_VERSION where a part of it was stored otherwise than it is read.

    One of imports alone may be older than the stream: it leads on from where that begins.
    """
    check_version(definition, batch, number)
    version = batch.versions[number]
    cut = topics_only(version.cut)
    begins = cut if cut != START or history.beginning is None else history.beginning
    return ChainBase(number, begins, version.audit.verified, tuple(version.skipped), version.begins)


def chain_from(view: str, definition: str, base: ChainBase, history: SpeedHistory, until: Frontier) -> Chain:
    """The chain from a base to `until`. Raises SEAM_HOLE, SEAM_OVERLAP or VIEW_NOT_READY."""
    if not base.cut <= until:
        raise not_ready(view, f"its cut ({base.cut}) lies beyond what was read of the stream ({until})", "ask again")
    try:
        return build_chain(definition, base.version, base.cut, history.segments(definition, base.cut, until), until)
    except SeamlineError as error:
        if base.version is None and error.condition == Condition.SEAM_HOLE:
            hint = f"run 'seamline batch refresh {view}': its first version covers what no epoch holds"
            raise not_ready(view, f"no batch version yet, and no epochs for the range {error.where}", hint) from error
        raise


def past_chain(
    definition: Definition, stood: Set[int], batch: BatchHistory, history: SpeedHistory, epoch: int
) -> Chain:
    """The chain that ends where `epoch` ended, from the newest batch version whose cut it has passed.

    `stood`: the versions that were served and not gone back from; no other answers. Raises OUT_OF_RETENTION.
    """
    end = history.end_of(epoch)
    if end is None:
        raise out_of_retention(definition.view, epoch, history)
    for base in bases_of(definition, stood, batch, history):
        if base.cut <= end:
            try:
                return chain_from(definition.view, definition.hash, base, history, end)
            except SeamlineError as error:
                if not is_seam(error) or error.condition == Condition.SEAM_OVERLAP:
                    raise
    raise out_of_retention(definition.view, epoch, history)


def bases_of(definition: Definition, stood: Set[int], batch: BatchHistory, history: SpeedHistory) -> list[ChainBase]:
    """Where a chain may begin, the newest first."""
    bases = []
    for number in sorted(stood & batch.versions.keys(), reverse=True):
        try:
            bases.append(version_base(definition, batch, number, history))
        except SeamlineError:
            continue
    return [*bases, ChainBase(None, origin_of(history))]


def answered_without(forgets: ForgetHistory, view: str, contracts: Collection[str]) -> Forgetting | None:
    """What was asked to be forgotten of a view's records. Raises ERASURE_PENDING where that is waited for."""
    erased = forgets.of(contracts)
    if erased is not None and erased.withheld:
        raise TransientError(
            Condition.ERASURE_PENDING,
            f"view {view} holds records that are being forgotten (request {erased.pending[0]})",
            detail="the request asked that it is not answered until then",
            hint="'seamline forget status' says what it waits for",
        )
    return erased


def epoch_links(definition: str, history: SpeedHistory, numbers: Iterable[int]) -> Iterator[Segment]:
    """Epochs one by one, without those that hold no records, or not the definition (the seam check finds the hole)."""
    for number in numbers:
        epoch = history.epochs.get(number)
        if epoch is not None and definition in epoch.files and epoch.start != epoch.end:
            yield segment_of(definition, epoch, (number, number))


def not_ready(view: str, why: str, hint: str) -> TransientError:
    """The view cannot answer yet."""
    return TransientError(Condition.VIEW_NOT_READY, f"view {view}: {why}", hint=hint)


def out_of_retention(view: str, epoch: int, history: SpeedHistory) -> UserError:
    """No chain ends at that epoch any more, or yet."""
    ends = history.ends
    last = max((last for (_, last), one in history.compacted.items() if one.ids_alone), default=0)
    stands = f"{len(ends)} from {ends[0]} to {ends[-1]}" if ends else ""
    stands += f"; those before epoch {last} went as records were forgotten" if epoch < last else ""
    near = [n for n in ends if n <= epoch][-1:] + [n for n in ends if n > epoch][:1]
    return UserError(
        Condition.OUT_OF_RETENTION,
        f"view {view} as of epoch {epoch}",
        detail=f"an epoch that still stands and that the view covers: {stands}" if ends else "the stream has no epochs",
        hint=f"ask as of epoch {' or '.join(map(str, near))}" if near else "ask without 'as of'",
    )
