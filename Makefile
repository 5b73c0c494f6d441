# make setup | dance | keypoints | test | test-browser | bench | coverage | soak | mutants | study | figures; `make` alone says
# what they do.
# Another Python than the python3 of the PATH: make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.d2m-ready
# JupyterLab drops the connection at an upload of more than 10 MB, a song of five minutes, without a word: here 1 GB.
SERVER := $(VENV)/etc/jupyter/jupyter_server_config.json
UPLOADS := {"ServerApp": {"tornado_settings": {"websocket_max_message_size": 1000000000}}}
# A kernel begins with a warning that others on this machine may listen, as in every Jupyter: here errors are enough.
KERNEL := $(VENV)/etc/ipython/ipython_kernel_config.json
ERRORS := {"IPKernelApp": {"log_level": 40}}
MEDIAPIPE := .venv-mediapipe
# Shown are what a notebook prints and why it failed: not which cell is run, nor where papermill was when one failed.
PAPERMILL := $(VENV)/bin/python -c 'import sys; from papermill.cli import papermill; sys.tracebacklimit = 0; papermill()' \
	--no-progress-bar --log-level WARNING --stdout-file - --stderr-file -
NOTEBOOKS := $(addprefix notebooks/,01_beat_analysis.ipynb 02_train_vae.ipynb 03_train_mmgan.ipynb 04_evaluate.ipynb \
	05_dance.ipynb)

# The notebooks' kernel, "python3", is the one in .venv, even where the user has another of that name: this comes first.
export JUPYTER_PATH := $(CURDIR)/$(VENV)/share/jupyter
# Set in a JupyterLab kernel, where d2m draws bars that redraw themselves; what runs here writes a log.
unexport JPY_SESSION_NAME

# Values reach the shell through the environment and unexpanded, so that $$, quotes and blanks in a name survive.
unexport SONG STYLE SEED N BPM BEATS ENERGY PRESET CORPUS DEVICE STEPS VIDEO
export D2M_SONG = $(value SONG)
export D2M_STYLE = $(value STYLE)
export D2M_SEED = $(value SEED)
export D2M_N = $(value N)
export D2M_BPM = $(value BPM)
export D2M_BEATS = $(value BEATS)
export D2M_ENERGY = $(value ENERGY)
export D2M_PRESET = $(value PRESET)
export D2M_CORPUS = $(value CORPUS)
export D2M_DEVICE = $(value DEVICE)
export D2M_STEPS = $(value STEPS)
export D2M_VIDEO = $(value VIDEO)
OPTIONS = $(if $(value CORPUS),--corpus "$$D2M_CORPUS") $(if $(value PRESET),--preset "$$D2M_PRESET") \
	$(if $(value DEVICE),--device "$$D2M_DEVICE") $(if $(value STEPS),--steps "$$D2M_STEPS")
# papermill -r gives a string whatever it looks like ("007"), -p a number where it looks like one.
PARAMETERS = $(if $(value SONG),-r song "$$D2M_SONG") $(if $(value STYLE),-r style "$$D2M_STYLE") \
	$(if $(value SEED),-p seed "$$D2M_SEED") $(if $(value N),-p n "$$D2M_N") \
	$(if $(value BPM),-p bpm "$$D2M_BPM") $(if $(value BEATS),-r beats "$$D2M_BEATS") \
	$(if $(value ENERGY),-r energy "$$D2M_ENERGY") \
	$(if $(value PRESET),-r preset "$$D2M_PRESET") $(if $(value CORPUS),-r corpus "$$D2M_CORPUS") \
	$(if $(value DEVICE),-r device "$$D2M_DEVICE")

.DEFAULT_GOAL := help
.PHONY: help setup dance keypoints named test test-browser bench coverage soak mutants study figures

help:
	@echo 'make dance     a dance to a built-in song; trains first what is not trained yet'
	@echo '               SONG=file STYLE=name SEED=0 N=1 BPM=0 BEATS=file ENERGY=calm|lively PRESET=demo CORPUS=folder'
	@echo '               DEVICE=auto, each optional'
	@echo 'make keypoints VIDEO=file   who dances in a video, or in each of a folder, as keypoints beside it: for CORPUS='
	@echo 'make test      unit tests; the five notebooks run again and checked'
	@echo 'make test-browser   notebook 5 in JupyterLab in Chromium: run, pressed, seen, heard (installs Chromium if root)'
	@echo 'make bench     how long each stage takes, and on which machine (ten minutes)'
	@echo 'make coverage  which lines of d2m the unit tests run (a quarter of an hour)'
	@echo 'make soak      what takes too long for make test: kills, damaged files, long runs, the commands of the README (hours)'
	@echo 'make mutants   small changes to the modules that cut, warp and measure: which of them no test sees (long)'
	@echo 'make study     trains and scores d2m, its baselines and d2m without each part (hours; goes on where it stopped)'
	@echo '               CORPUS=folder PRESET=demo DEVICE=auto STEPS=0, each optional'
	@echo 'make figures   runs the five notebooks in place and refreshes figures/'
	@echo 'make setup     installs into .venv what these need; they call it themselves'

setup: $(READY) $(SERVER) $(KERNEL)

$(SERVER): Makefile | $(READY)
	@mkdir -p $(@D) && echo '$(UPLOADS)' > $@

$(KERNEL): Makefile | $(READY)
	@mkdir -p $(@D) && echo '$(ERRORS)' > $@

# The stamp is made last: after a failed or broken-off installation there is none, and the next call goes on.
$(READY): pyproject.toml constraints.txt
	@rm -f $@
	@command -v "$(PYTHON)" >/dev/null || { \
		echo 'There is no $(PYTHON) here: install Python 3.11 or newer, or name yours (make setup PYTHON=python3.12).' >&2; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "d2m needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1):" \
			'name a newer one (make setup PYTHON=python3.12).' >&2; \
		exit 1; }
	@$(VENV)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		$(ensurepip) && echo 'Making .venv ...' && "$(PYTHON)" -m venv --clear $(VENV); }
	@echo 'Installing the packages into .venv (some minutes, by the network) ...'
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]' || { \
		echo 'The installation failed, for the reason above; make setup goes on from here.' >&2; exit 1; }
	@echo 'Compiling what the beat tracker needs, once (half a minute) ...'
	@$(VENV)/bin/python -c 'from d2m.music.analysis import warm; warm()'
	@touch $@
	@echo 'Ready.'

# Debian's python3 comes without ensurepip, which venv needs; it has a package of its own.
define ensurepip
{ "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	package=$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$package ..."; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "$$package"; } >/dev/null; \
	else false; fi || { \
		echo "$(PYTHON) cannot make environments: install $$package (Debian, Ubuntu) or Python's venv and ensurepip." >&2; \
		exit 1; }; }; }
endef

# A name that make does not know would be ignored: STLYE=ballet would dance in another style without a word. It is told
# before anything is installed.
KNOWN_dance := SONG STYLE SEED N BPM BEATS ENERGY PRESET CORPUS DEVICE PAPERMILL
KNOWN_study := CORPUS PRESET DEVICE STEPS
KNOWN_keypoints := VIDEO
KNOWN := $(strip $(foreach target,$(MAKECMDGOALS),$(KNOWN_$(target))))
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
ifneq ($(KNOWN),)
$(foreach name,$(filter-out $(KNOWN) PYTHON MAKEFLAGS,$(GIVEN)),$(error There is no $(name): make $(MAKECMDGOALS) knows \
	$(KNOWN) PYTHON))
endif

dance: setup notebooks/05_dance.ipynb
	@mkdir -p runs && touch runs/.begun
	@$(PAPERMILL) $(PARAMETERS) notebooks/05_dance.ipynb runs/05_dance.ipynb || { \
		echo 'There is no dance: the reason is the last line of the error above.' >&2; exit 1; }
	@find runs/*/dances -name '*.mp4' -newer runs/.begun | sort | sed 's/^/The dance: /'

keypoints: named $(MEDIAPIPE)/.d2m-ready
	@$(MEDIAPIPE)/bin/python -m d2m keypoints -- "$$D2M_VIDEO"

named:
	@case "$$D2M_VIDEO" in "~"*) ;; *) [ -e "$$D2M_VIDEO" ] || { \
		echo "VIDEO is '$$D2M_VIDEO': it must name a video, or a folder of videos, that is there." >&2; exit 1; } ;; esac

# MediaPipe's last version with its models inside, and what it was tried with. It needs NumPy 1, a Python of its time,
# and so an environment of its own; it brings OpenCV, which does not load without a library for windows.
KEYPOINTS := mediapipe==0.10.21 numpy==1.26.4 opencv-contrib-python==4.11.0.86 protobuf==4.25.9 jax==0.7.1 \
	jaxlib==0.7.1 filelock==4.3.1 tqdm==4.70.1
$(MEDIAPIPE)/.d2m-ready: Makefile
	@rm -f $@
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || { \
		echo "MediaPipe needs Python 3.11 or 3.12, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1):" \
			'name one (make keypoints VIDEO=... PYTHON=python3.12).' >&2; \
		exit 1; }
	@$(MEDIAPIPE)/bin/python -c 'import pip' 2>/dev/null || { \
		$(ensurepip) && "$(PYTHON)" -m venv --clear $(MEDIAPIPE); }
	@echo 'Installing MediaPipe into $(MEDIAPIPE) (1 GB, some minutes, by the network) ...'
	@$(MEDIAPIPE)/bin/python -m pip install -qq --disable-pip-version-check $(KEYPOINTS) || { \
		echo 'The installation failed, for the reason above; make keypoints goes on from here.' >&2; exit 1; }
	@$(MEDIAPIPE)/bin/python -c 'import cv2' || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo 'Installing libgl1 and libglib2.0-0 ...'; \
			{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y libgl1 libglib2.0-0; } >/dev/null; \
		fi; \
		$(MEDIAPIPE)/bin/python -c 'import cv2' || { \
			echo 'OpenCV lacks the library named above: install it (Debian, Ubuntu: libgl1 and libglib2.0-0).' >&2; \
			exit 1; }; }
	@touch $@

# In the order of pyproject's testpaths: the notebooks, which take longest, are first.
ON_TWO_CORES := -n 2 --no-loadscope-reorder
test: setup
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(ON_TWO_CORES)

# What the browser shows is kept in runs/browser. Without a Chromium and without root there is nothing to test with.
test-browser: setup
	@if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo 'Skipped: there is no Chromium here, and only root can install it (apt-get install chromium).'; exit 0; \
		fi; \
		echo 'Installing chromium ...'; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
			>/dev/null || exit 1; \
	fi; \
	$(VENV)/bin/python -c 'import playwright' 2>/dev/null || \
		$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[browser]' || exit 1; \
	$(VENV)/bin/python -m pytest tests/browser

bench: setup
	@$(VENV)/bin/python tests/bench/bench.py

coverage: setup
	@$(VENV)/bin/python -m coverage erase
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m coverage run -m pytest -o addopts=--import-mode=importlib -p no:nbval \
		$(ON_TWO_CORES) tests
	@$(VENV)/bin/python -m coverage combine -q && $(VENV)/bin/python -m coverage report --skip-covered

soak: setup
	@$(VENV)/bin/python -m pytest -s $(sort $(wildcard tests/soak/soak_*.py))

mutants: setup
	@$(VENV)/bin/python -c 'import mutmut' 2>/dev/null || \
		$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	@$(VENV)/bin/python tests/soak/mutants.py

study: setup
	@$(VENV)/bin/python -m d2m study $(OPTIONS)

# Nothing else writes into figures/. Times, progress and the state of controls are not kept: they differ each time.
figures: setup $(NOTEBOOKS)
	@for notebook in $(NOTEBOOKS); do \
		D2M_PROGRESS=none $(VENV)/bin/python -m nbconvert --to notebook --execute --inplace \
			--ExecutePreprocessor.timeout=-1 --ExecutePreprocessor.record_timing=False \
			--ExecutePreprocessor.store_widget_state=False "$$notebook" || exit 1; \
	done
	@mkdir -p figures
	@for figure in runs/builtin-demo/figures/*.png runs/builtin-demo/figures/*.gif; do \
		[ ! -e "$$figure" ] || cp "$$figure" figures/ || exit 1; \
	done
