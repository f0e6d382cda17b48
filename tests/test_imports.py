"""The plan of the house, checked: data goes one way, and so do imports."""

import ast
import dataclasses
import fnmatch
import functools
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Imports only go up this list. Inside a room they may go any way but in a circle.
ORDER = (
    "errors",
    "registry",
    "io",
    "config",
    "runtime",
    "data",
    "models",
    "latent",
    "render",
    "photo",
    "judge",
    "training",
    "trained",
    "evaluate",
    "export",
    "check",
    "explore",
    "cli",
    "__main__",
)
ONLY_THESE = {"cli.run": {"errors", "runtime.xla"}, "cli.main": {"errors", "cli.run"}}  # what these may import
ROOMS = set(ORDER) - {"errors", "registry", "config", "trained", "check", "__main__"}
ROOMS |= {"data.sources", "training.tasks", "training.trackers"}
REGISTRIES = {  # rooms with a table of what is in them, and what reads it
    "data.sources": ("SOURCES", "find_source"),
    "training.tasks": ("TASKS",),
    "training.trackers": ("TRACKERS",),
}

# What only these modules may import.
ONLY = {
    "av": {"render.movie"},
    "cv2": {"photo.eyes"},
    "dlib": {"photo.landmarks"},
    "flax": {"models.*", "training.tasks.*", "evaluate.inception_net", "judge.net"},
    "huggingface_hub": {"training.exported"},
    "onnx": {"export.graph", "export.primitives", "export.onnx_files"},
    "onnxruntime": {"export.onnx_files"},
    "orbax": {"training.checkpoint"},
    "safetensors": {"training.exported", "evaluate.inception"},
    "tensorboardX": {"training.loop", "training.log"},
    "tensorflow_datasets": {"data.sources.tfds", "data.sources.celeba_builder"},
    "trackio": {"training.trackers.trackio"},
    "tyro": {"cli.run", "cli.annotated", "cli.flags", "cli.settings"},
    "wandb": {"training.trackers.wandb"},
}
PRIVATE = {"runtime.xla": "jax._src.lru_cache"}  # what is used of JAX that is not public, of which the module says why
NOWHERE = {"tensorflow", "torch", "pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNPICKLERS = {"np.load", "numpy.load", "np.lib.format.read_array", "np.lib.format.open_memmap"}
NO_JAX = ("errors", "io.files", "io.fields", "io.arrays", "cli.run", "cli.main", "config", "runtime.xla")
NO_JAX += ("runtime.watch", "data.sources", "data.sources.celeba", "data.sources.folder", "data.packed")
SHARDING_NAMES = {"PartitionSpec", "NamedSharding", "PositionalSharding", "AxisType", "create_device_mesh"}


@dataclasses.dataclass(frozen=True)
class Module:
    """A parsed source file; `name` is without the leading "jvae." for the package's own."""

    name: str
    path: Path
    tree: ast.Module

    def __repr__(self) -> str:
        return self.name


@functools.cache
def package() -> tuple[Module, ...]:
    found = []
    for path in sorted((ROOT / "jvae").rglob("*.py")):
        parts = path.relative_to(ROOT / "jvae").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(), str(path))))
    return tuple(found)


@functools.cache
def scripts() -> tuple[Module, ...]:
    paths = [p for folder in ("experiments", "benchmarks") for p in sorted((ROOT / folder).glob("*.py"))]
    return tuple(Module(f"{p.parent.name}/{p.stem}", p, ast.parse(p.read_text(), str(p))) for p in paths)


def names() -> set[str]:
    return {module.name for module in package()}


@functools.cache
def imports(module: Module) -> set[str]:
    """Everything the module imports, anywhere in it, absolute: `from a import b` gives both a and a.b."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ("jvae." + module.name).rstrip(".").split(".")
                if module.path.name != "__init__.py":
                    here = here[:-1]
                base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [base])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def inside(module: Module) -> set[str]:
    """The modules of jvae that it imports; "" is jvae itself, whose names may lie anywhere."""
    known, found = names() | {""}, set()
    for name in imports(module):
        if name == "jvae" or name.startswith("jvae."):
            inner = name.removeprefix("jvae").removeprefix(".")
            if inner in known:
                found.add(inner)
            elif inner.rpartition(".")[0] not in known:
                raise AssertionError(f"{module.path.relative_to(ROOT)} imports {name}, which is not there")
    # `from jvae.data import packed` is an import of jvae.data.packed; the room itself holds nothing.
    rooms = {f for f in found if f == "" or f in ROOMS}
    return found - rooms if module.name == "" or found - rooms else found


def rank(name: str) -> int:
    room = name.partition(".")[0]
    assert room in ORDER, f"jvae/{room} has no place in ORDER: give it one"
    return ORDER.index(room)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


@functools.cache
def used(module: Module) -> set[str]:
    """All names and attribute chains in the module, and what it imports."""
    return imports(module) | {dotted(n) for n in ast.walk(module.tree) if isinstance(n, ast.Name | ast.Attribute)}


ordinary = [m for m in package() if m.path.name != "__init__.py"]


def of_every(modules: Iterable[Module]) -> Callable[[Callable[[Module], None]], Callable[[], None]]:
    """Makes what a module must keep to one test of all of them, which names each that does not."""

    def wrap(check: Callable[[Module], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for module in modules:
                try:
                    check(module)
                except AssertionError as error:
                    broken.append(f"{module.name or 'jvae'}: {error}")
            assert not broken, "\n".join(broken)

        return test

    return wrap


each, each_of_all = of_every(ordinary), of_every([*package(), *scripts()])


@each
def test_imports_only_go_up(module: Module):
    assert inside(module) <= ONLY_THESE.get(module.name, inside(module))
    for other in inside(module):
        assert other != "", f"{module} imports from jvae itself, which comes last: name the module"
        assert rank(other) <= rank(module.name), f"{module} imports {other}, which comes after it"


def test_no_circles():
    graph = {module.name: inside(module) - {module.name} for module in ordinary}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


@pytest.mark.parametrize("module", [m for m in package() if m.name in ROOMS], ids=repr)
def test_a_room_is_a_docstring(module: Module):
    assert ast.get_docstring(module.tree), f"{module.path.relative_to(ROOT)} says nothing"
    rest = [node for node in module.tree.body[1:] if not isinstance(node, ast.Import | ast.ImportFrom)]
    held = tuple(dotted(node.target) if isinstance(node, ast.AnnAssign) else getattr(node, "name", "") for node in rest)
    registry = REGISTRIES.get(module.name, ())
    assert held == registry, f"{module.path.relative_to(ROOT)} holds more than its docstring and its registry"
    assert registry or len(module.tree.body) == 1, f"{module.path.relative_to(ROOT)} imports what it does not need"


@each
def test_every_module_says_what_it_is(module: Module):
    assert ast.get_docstring(module.tree)


@each_of_all
def test_packages_have_one_door(module: Module):
    roots = {name.partition(".")[0] for name in imports(module)}
    if module in package():
        assert not roots & {"experiments", "benchmarks", "tests"}
        for root, where in ONLY.items():
            allowed = any(fnmatch.fnmatch(module.name, name) for name in where)
            assert root not in roots or allowed, f"{module} imports {root}: only {sorted(where)} may"
        assert not roots & NOWHERE
    else:
        assert not roots & {"flax", "orbax", "tensorflow_datasets", "tests"}
        assert not roots & (NOWHERE - {"torch"})  # the reference that benchmarks compare with


@each_of_all
def test_only_public_and_living_jax(module: Module):
    for name in used(module):
        public = "_src" not in name.split(".") or name.startswith(PRIVATE.get(module.name, "?"))
        assert public, f"{module} uses {name}"
        assert name.split(".")[-1] not in {"pmap", "xmap", "soft_pmap"}, f"{module} uses {name}"


@each_of_all
def test_nothing_unpickles(module: Module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False, f"{module}:{node.value.lineno}"
        if isinstance(node, ast.Call) and dotted(node.func) in UNPICKLERS:
            assert any(k.arg == "allow_pickle" for k in node.keywords), f"{module}:{node.lineno} may unpickle"


@each_of_all
def test_no_file_is_run_or_unpacked(module: Module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            last = name.split(".")[-1] if name else getattr(node.func, "attr", "")
            where = f"{module}:{node.lineno} calls {name or last}"
            assert name not in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}, where
            assert last not in {"extract", "extractall", "unpack_archive", "read_pickle", "unsafe_load"}, where
            assert name not in {"yaml.load", "torch.load", "joblib.load"}, where
            shell = [k.value for k in node.keywords if k.arg == "shell"]
            assert all(isinstance(v, ast.Constant) and v.value is False for v in shell), where


@each_of_all
def test_only_mesh_builds_shardings(module: Module):
    if module.name != "runtime.mesh":
        found = {name for name in used(module) if name.split(".")[-1] in SHARDING_NAMES or name == "jax.make_mesh"}
        assert not found, f"{module} says {sorted(found)}: only jvae/runtime/mesh.py does"


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_needs_no_jax_imports_none():
    present = [name for name in NO_JAX if name in names()]
    assert {"errors", "io.files", "cli.main"} <= set(present)
    code = (
        "import importlib, sys\n"
        f"for name in {present!r}:\n"
        "    importlib.import_module('jvae.' + name)\n"
        "    if 'jax' in sys.modules: print(name); break\n"
    )
    assert in_a_new_process(code) == ""


def test_what_trains_imports_no_pandas():
    slow = {"pandas", "matplotlib.pyplot", "tensorboardX", "sklearn", "cv2"}  # half a second and more, each
    assert in_a_new_process(f"import sys, jvae.cli.train; print(*{slow!r} & set(sys.modules))") == ""


def test_the_api_is_lazy_and_complete():
    code = "import sys, jvae; print('jax' in sys.modules, ' '.join(getattr(jvae, '__all__', [])))"
    loaded, *exported = in_a_new_process(code).split()
    assert loaded == "False", "import jvae loads JAX: export lazily"
    if "" not in names():
        pytest.skip("jvae/__init__.py is not there")
    assert exported
    code = (
        "import sys, jvae\n"
        "for name in jvae.__all__: getattr(jvae, name)\n"
        "assert set(jvae.__all__) <= set(dir(jvae))\n"
        "assert not hasattr(jvae, 'no_such_name')\n"
        "print(*{'tensorflow', 'torch', 'matplotlib.pyplot'} & set(sys.modules))\n"
    )
    assert in_a_new_process(code) == ""
