# `make` alone lists the targets. To use another Python than python3: make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.d2m-ready
# JupyterLab silently drops the connection at an upload of more than 10 MB, which is a song of five minutes: allow 1 GB.
SERVER := $(VENV)/etc/jupyter/jupyter_server_config.json
UPLOADS := {"ServerApp": {"tornado_settings": {"websocket_max_message_size": 1000000000}}}
# Every Jupyter kernel warns at its start that other users of this machine may connect: log errors only.
KERNEL := $(VENV)/etc/ipython/ipython_kernel_config.json
ERRORS := {"IPKernelApp": {"log_level": 40}}
MEDIAPIPE := .venv-mediapipe
# Shows what a notebook prints, and of an error, last, the one sentence that says what is wrong.
PAPERMILL := $(VENV)/bin/python -c 'import sys; from papermill.cli import papermill; \
	sys.excepthook = lambda kind, error, _: print(getattr(error, "ename", kind.__name__), \
	"in runs/05_dance.ipynb\nmake dance failed:", getattr(error, "evalue", error), file=sys.stderr); papermill()' \
	--no-progress-bar --log-level WARNING --stdout-file - --stderr-file -
# The warning that a song has no steady beat, in the notebook that was run.
UNCERTAIN := 's/^ *"\(The beat of .* is uncertain.*\)\\n",*$$/\1/p'
NOTEBOOKS := $(addprefix notebooks/,01_beat_analysis.ipynb 02_train_vae.ipynb 03_train_mmgan.ipynb 04_evaluate.ipynb \
	05_dance.ipynb)

# Jupyter looks here first, so that the notebooks' kernel "python3" is the one in .venv.
export JUPYTER_PATH := $(CURDIR)/$(VENV)/share/jupyter
# JupyterLab sets this in its kernels, where d2m draws progress bars as widgets; make's output is a plain log.
unexport JPY_SESSION_NAME

# The values reach the shell through the environment: $$, quotes and blanks in a file's name stay unchanged.
VALUES := SONG STYLE SEED N BPM BEATS ENERGY COMPOSE PRESET CORPUS DEVICE STEPS VIDEO JSON
unexport $(VALUES)
$(foreach name,$(VALUES),$(eval export D2M_$(name) = $$(value $(name))))
OPTIONS = $(if $(value CORPUS),--corpus "$$D2M_CORPUS") $(if $(value PRESET),--preset "$$D2M_PRESET") \
	$(if $(value DEVICE),--device "$$D2M_DEVICE") $(if $(value STEPS),--steps "$$D2M_STEPS")
# papermill -r passes every value as text ("007"), -p passes a number as a number.
PARAMETERS = $(if $(value SONG),-r song "$$D2M_SONG") $(if $(value STYLE),-r style "$$D2M_STYLE") \
	$(if $(value SEED),-p seed "$$D2M_SEED") $(if $(value N),-p n "$$D2M_N") \
	$(if $(value BPM),-p bpm "$$D2M_BPM") $(if $(value BEATS),-r beats "$$D2M_BEATS") \
	$(if $(value ENERGY),-r energy "$$D2M_ENERGY") \
	$(if $(value COMPOSE),-r compose "$$D2M_COMPOSE") \
	$(if $(value PRESET),-r preset "$$D2M_PRESET") $(if $(value CORPUS),-r corpus "$$D2M_CORPUS") \
	$(if $(value DEVICE),-r device "$$D2M_DEVICE")

.DEFAULT_GOAL := help
.PHONY: help setup dance keypoints named test test-browser bench coverage soak mutants study train-beats figures site

help:
	@echo 'make dance     makes a dance to a built-in song; trains missing models first'
	@echo '               SONG=file STYLE=name SEED=0 N=1 BPM=0 BEATS=file ENERGY=calm|lively PRESET=demo CORPUS=folder'
	@echo '               DEVICE=auto COMPOSE=generate|replay, each optional'
	@echo 'make keypoints VIDEO=file   estimates the keypoints of the dancer in a video, or in each video of a folder, and'
	@echo '               writes them next to it as JSON, which CORPUS=folder reads'
	@echo 'make test      runs the unit tests and the five notebooks, and compares the outputs of the notebooks'
	@echo 'make test-browser   tests the player in Chromium and Firefox, and notebook 5 in JupyterLab (installs both if root)'
	@echo 'make bench     times each stage on this machine (ten minutes); JSON=file writes the table as JSON too'
	@echo 'make coverage  runs the unit tests and lists the lines of d2m that they miss (a quarter of an hour)'
	@echo 'make soak      tests that take hours: kills, damaged files, long runs, the commands of the README'
	@echo 'make mutants   changes code that cuts, warps and measures, and lists changes that no test detects (hours)'
	@echo 'make study     trains and scores d2m, its baselines and its ablations (hours; continues where it stopped)'
	@echo '               CORPUS=folder PRESET=demo DEVICE=auto STEPS=0, each optional'
	@echo 'make train-beats   synthesises songs and trains the beat network on them anew (an hour)'
	@echo 'make figures   runs the five notebooks in place and updates figures/'
	@echo 'make site      writes the notebooks, as they are, as HTML pages into runs/site'
	@echo 'make setup     installs into .venv what the other targets need; they run it themselves'

setup: $(READY) $(SERVER) $(KERNEL)

$(SERVER): Makefile | $(READY)
	@mkdir -p $(@D) && echo '$(UPLOADS)' > $@

$(KERNEL): Makefile | $(READY)
	@mkdir -p $(@D) && echo '$(ERRORS)' > $@

# The stamp is written last, so that the next call continues a failed installation.
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
	@echo 'Installing the packages into .venv (downloads; some minutes) ...'
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]' || { \
		echo 'The installation failed, for the reason above; make setup continues from here.' >&2; exit 1; }
	@echo 'Compiling the beat tracker and the renderer, once (half a minute) ...'
	@$(VENV)/bin/python -c 'from d2m.music import analysis; from d2m.visual import raster; analysis.warm(); raster.warm()'
	@touch $@
	@echo 'Ready.'

# venv needs ensurepip, which Debian's python3 does not contain: it is in another package.
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

# make itself ignores unknown names, such as STLYE=ballet. Here they are errors, before anything is installed.
KNOWN_dance := SONG STYLE SEED N BPM BEATS ENERGY COMPOSE PRESET CORPUS DEVICE PAPERMILL
KNOWN_study := CORPUS PRESET DEVICE STEPS
KNOWN_keypoints := VIDEO
KNOWN_bench := JSON
KNOWN := $(strip $(foreach target,$(MAKECMDGOALS),$(KNOWN_$(target))))
ON_COMMAND_LINE = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
ifneq ($(KNOWN),)
$(foreach name,$(filter-out $(KNOWN) PYTHON MAKEFLAGS,$(ON_COMMAND_LINE)),$(error There is no $(name): \
	make $(MAKECMDGOALS) knows $(KNOWN) PYTHON))
endif

dance: setup notebooks/05_dance.ipynb
	@mkdir -p runs && touch runs/.begun
	@$(PAPERMILL) $(PARAMETERS) notebooks/05_dance.ipynb runs/05_dance.ipynb
	@find runs/*/dances '(' -name '*.mp4' -o -name '*.html' ')' -newer runs/.begun | sort | sed 's/^/The dance: /'
	@sed -n $(UNCERTAIN) runs/05_dance.ipynb

keypoints: named $(MEDIAPIPE)/.d2m-ready
	@$(MEDIAPIPE)/bin/python -m d2m keypoints -- "$$D2M_VIDEO"

named:
	@case "$$D2M_VIDEO" in "~"*) ;; *) [ -e "$$D2M_VIDEO" ] || { \
		echo "VIDEO is '$$D2M_VIDEO': it must name a video, or a folder of videos, that is there." >&2; exit 1; } ;; esac

# The last version of MediaPipe that contains its models, and the versions that it was tested with. It needs NumPy 1 and
# an older Python, so it has its own environment; its OpenCV needs a graphics library of the system.
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
	@echo 'Installing MediaPipe into $(MEDIAPIPE) (downloads 1 GB; some minutes) ...'
	@$(MEDIAPIPE)/bin/python -m pip install -qq --disable-pip-version-check $(KEYPOINTS) || { \
		echo 'The installation failed, for the reason above; make keypoints continues from here.' >&2; exit 1; }
	@$(MEDIAPIPE)/bin/python -c 'import cv2' || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo 'Installing libgl1 and libglib2.0-0 ...'; \
			{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y libgl1 libglib2.0-0; } >/dev/null; \
		fi; \
		$(MEDIAPIPE)/bin/python -c 'import cv2' || { \
			echo 'OpenCV lacks the library named above: install it (Debian, Ubuntu: libgl1 and libglib2.0-0).' >&2; \
			exit 1; }; }
	@touch $@

# Two processes of one thread each take files in the order of pyproject's testpaths: the notebooks, the longest, first.
ON_TWO_CORES := -n 2 --no-loadscope-reorder
test: setup
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(ON_TWO_CORES)

# Pictures of the page are kept in runs/browser. Without Chromium, and without root to install it, the test is skipped.
test-browser: setup
	@if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo 'Skipped: there is no Chromium here, and only root can install it (apt-get install chromium).'; exit 0; \
		fi; \
		echo 'Installing chromium and firefox-esr ...'; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
			chromium firefox-esr xvfb pulseaudio; } >/dev/null || exit 1; \
	fi; \
	$(VENV)/bin/python -c 'import playwright' 2>/dev/null || \
		$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[browser]' || exit 1; \
	$(VENV)/bin/python -m pytest tests/browser

bench: setup
	@$(VENV)/bin/python tests/bench/bench.py $(if $(value JSON),--json "$$D2M_JSON")

# Fails if the share of lines is below fail_under in pyproject.
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

# Makes the songs and the weights of the beat network anew, in runs/beats. FluidSynth and two soundfonts play the songs.
SOUNDS := libfluidsynth3 fluid-soundfont-gm musescore-general-soundfont
train-beats: setup
	@dpkg -s $(SOUNDS) >/dev/null 2>&1 || { \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo 'Install FluidSynth and its soundfonts first (Debian, Ubuntu: $(SOUNDS)).' >&2; exit 1; \
		fi; \
		echo 'Installing $(SOUNDS) ...'; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y $(SOUNDS); } >/dev/null || exit 1; }; \
	$(VENV)/bin/python -c 'import fluidsynth' 2>/dev/null || \
		$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[songs]' || exit 1; \
	$(VENV)/bin/python -m d2m train-beats

# The notebooks as they are, with their outputs, as pages that open from disk.
site: setup
	@$(VENV)/bin/python -m nbconvert --log-level ERROR --to html --output-dir runs/site $(NOTEBOOKS)
	@sed -i -e 's#href="\(0[1-5]_[a-z_]*\)\.ipynb#href="\1.html#g' -e 's#href="\.\./#href="../../#g' runs/site/*.html
	@cp runs/site/01_beat_analysis.html runs/site/index.html
	@echo 'The pages: runs/site/index.html (formulas and the diagram need a network)'

# Only this target writes into figures/. Notebooks keep no times, progress or states of controls: they always differ.
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
