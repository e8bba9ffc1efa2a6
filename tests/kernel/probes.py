"""Code that a test runs in a kernel to look at every system there is."""

from __future__ import annotations

PROBES = '''
def _systems():
    from modulus_es import System
    # IPython keeps what cells displayed under names of its own, also when the cell ran again.
    named = [value for name, value in list(globals().items()) if name[0] != "_"]
    return list({id(value): value for value in named if isinstance(value, System)}.values())

def _registered():
    return [
        [module.name, kind, handler.type_name, handler.name]
        for system in _systems() for module in system.modules
        for kind, handler in module.handlers()
    ]

def _doubled():
    """Handlers of a message that have two rows, or two deliveries that were done."""
    said = []
    for system in _systems():
        key = ["message_id", "module", "handler"]
        said += system.ledger()[system.ledger().duplicated(key)].handler.tolist()
        done = system.deliveries().query("outcome == 'done'")
        said += done[done.duplicated(key)].handler.tolist()
    return said

def _lost():
    return sum(int((system.ledger().outcome == "lost").sum()) for system in _systems())

async def _replayed():
    """Rebuild every aggregate that was recorded, with the classes as they are now."""
    count = 0
    for system in _systems():
        for module in system.modules:
            for stored in list(module.stored_events()):
                if stored.originator_version == 1:
                    name = module.mapper.read(stored).aggregate
                    cls = module.registry.get(name)
                    aggregate = await module.get(cls, stored.originator_id)
                    assert type(aggregate) is cls
                    count += 1
    return count
'''
