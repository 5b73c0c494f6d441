"""What in a module could run code that it has read: found by the whole names of things, however they were imported.

`from torch import load as tl` makes `tl` mean "torch.load" in all of the module, and so does `import torch as t` of
`t.load`. What is put together when the program runs, such as `getattr(torch, "lo" + "ad")`, is not seen.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator

# Each stands for all that is below it, too: "pickle" for "pickle.loads".
REFUSED = {
    "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__",
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "copyreg",
    "d2m.data.formats.aist.Unpickler",
    "torch.load", "torch.serialization", "torch.jit.load", "torch.hub", "torch.package",
    "joblib.load", "joblib.Memory", "joblib.numpy_pickle",
    "pandas.read_pickle", "pandas.io.pickle",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load", "yaml.unsafe_load_all",
    "runpy", "code", "codeop", "imp", "importlib.import_module", "importlib.machinery",
    "importlib.util.spec_from_file_location",
    "os.system", "os.popen", "os.startfile", "posix.system", "posix.popen", "pty.spawn", "commands",
    "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
}  # fmt: skip
LOADS_ARRAYS = {"numpy.load", "numpy.lib.npyio.load", "numpy.lib._npyio_impl.load"}  # with allow_pickle=False alone
MUST_BE_FALSE = {"shell", "allow_pickle"}  # arguments, of whatever is called
IMPORTING = "find_class"  # the method by which an unpickler imports what a pickle names
# What a module that reads pickles may name: a base class, of classes with an `IMPORTING` of their own, and an error.
UNPICKLING = {"pickle.Unpickler", "pickle.UnpicklingError"}


def found(module: ast.Module, unpickles: bool = False) -> list[str]:
    """What a module must not name or call, as its text has it, wherever in it; `unpickles` allows it `UNPICKLING`."""
    names = _imported(module)
    bases = {id(base) for node in ast.walk(module) if _imports_its_own_way(node) for base in node.bases}
    plain = {id(node.func) for node in ast.walk(module) if isinstance(node, ast.Call) and _allows_no_pickle(node)}
    return [
        ast.unparse(node)
        for node in ast.walk(module)
        if any(
            _is_refused(name) and not (unpickles and _is_unpickling(name, node, bases)) for name in _named(node, names)
        )
        or (isinstance(node, ast.Attribute) and node.attr == IMPORTING)
        or (_meant(node, names) & LOADS_ARRAYS and id(node) not in plain)
        or (isinstance(node, ast.keyword) and node.arg in MUST_BE_FALSE and not _is_false(node.value))
    ]


def _imported(module: ast.Module) -> dict[str, set[str]]:
    """What each imported name may stand for, in full."""
    names = defaultdict(set)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name].add(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                names[name].add(alias.name if alias.asname else name)
    return names


def _named(node: ast.AST, names: dict[str, set[str]]) -> Iterator[str]:
    """The full names that a node imports or uses."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    else:
        yield from _meant(node, names)


def _meant(node: ast.AST, names: dict[str, set[str]]) -> set[str]:
    """The full names that a name, or a chain of attributes that begins with one, may stand for.

    What is not imported is taken for a built-in; a variable of the module's own has none of the refused names then.
    """
    if isinstance(node, ast.Name):
        return names.get(node.id, {f"builtins.{node.id}"})
    if isinstance(node, ast.Attribute):
        return {f"{name}.{node.attr}" for name in _meant(node.value, names)}
    return set()


def _is_refused(name: str) -> bool:
    parts = name.split(".")
    # `from os import *` does not say what it brings.
    return parts[-1] == "*" or any(".".join(parts[:count]) in REFUSED for count in range(1, len(parts) + 1))


def _imports_its_own_way(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        isinstance(member, ast.FunctionDef) and member.name == IMPORTING for member in node.body
    )


def _is_unpickling(name: str, node: ast.AST, bases: set[int]) -> bool:
    """Whether a name is one of `UNPICKLING`, imported or used as it may be."""
    return name in UNPICKLING and (name != "pickle.Unpickler" or isinstance(node, ast.ImportFrom) or id(node) in bases)


def _allows_no_pickle(call: ast.Call) -> bool:
    return any(option.arg == "allow_pickle" and _is_false(option.value) for option in call.keywords)


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False
