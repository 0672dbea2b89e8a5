# Everything a person does with this repository. `make demo` and `make test` need nothing but a Debian or Ubuntu with make and python3.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-faults test-soak test-systemd test-page test-gpu test-cuda-on-cpu check lint bench bench-calibration bench-engines bench-gpu tensorrt node-opcua kernels \
    bundles deb docs constraints sbom clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

# The running agent and the demo: no torch. The marker is renewed whenever what is installed may have changed.
$(VENV)/.base: pyproject.toml constraints.txt
	@scripts/need-packages python3-venv:ensurepip
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

# Training, the other engines and the tools of the developers.
$(VENV)/.dev: $(VENV)/.base
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,openvino,dicom,rtsp,genicam,codes,modbus,opcua,s3,gpio,page,fleet,fleet-postgres,dev]'
	touch $@

# What PyCUDA is built with: a Python that is not the system's has its own headers.
NEED_COMPILER := scripts/need-packages g++:g++ binutils:nm && \
    { test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || \
    scripts/need-packages python3-dev:/usr/include/python3*/Python.h; }

# What a GPU needs. On a Jetson TensorRT comes with JetPack, and the environment is to see it:
# python3 -m venv --system-site-packages .venv
$(VENV)/.gpu: $(VENV)/.dev scripts/install-gpu
	@$(NEED_COMPILER)
	$(BIN)/python scripts/install-gpu
	touch $@

# Parts of TensorRT to hold our code against where there is no GPU; what cannot be had is left out.
build/tensorrt/.fetched: scripts/fetch-tensorrt $(VENV)/.base
	$(BIN)/python scripts/fetch-tensorrt build/tensorrt
	touch $@

tensorrt: build/tensorrt/.fetched  ## fetch the bindings and the lean runtime of TensorRT that tests hold our code against

# What others have written in JavaScript for OPC UA and Sparkplug; tests that need it are skipped where there is no Node.js.
build/node-opcua/.fetched: Makefile
	mkdir -p build/node-opcua
	! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --prefix build/node-opcua node-opcua-client@2.182.2 \
	    sparkplug-payload@1.0.3
	touch $@

node-opcua: build/node-opcua/.fetched  ## fetch the OPC UA client and the Sparkplug decoder that tests use

# Debian's Python has its library, which GenICam needs, in a package of its own.
LIBPYTHON := $(shell $(PYTHON) -c 'import sys; name = "libpython%d.%d" % sys.version_info[:2]; \
    print(f"{name}:/usr/lib/*/{name}.so.1.0" if sys.base_prefix == "/usr" else "")')

# A broker, cameras that speak RTSP and GigE Vision, and a sender of DICOM: the tests start them.
TEST_PACKAGES := mosquitto:mosquitto iproute2:ip aravis-tools:arv-fake-gv-camera-0.8 dcmtk:storescu python3-gi:gi \
    gir1.2-gst-rtsp-server-1.0:/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib \
    gstreamer1.0-plugins-base:/usr/lib/*/gstreamer-1.0/libgstvideotestsrc.so \
    gstreamer1.0-plugins-good:/usr/lib/*/gstreamer-1.0/libgstrtp.so \
    gstreamer1.0-plugins-bad:/usr/lib/*/gstreamer-1.0/libgstopenh264.so $(LIBPYTHON)

demo: $(VENV)/.base  ## the whole thing without hardware: simulator, broker, agent, subscriber, score sheet
	@scripts/need-packages mosquitto:mosquitto
	$(BIN)/inspectd demo --out $(DEMO_OUT)

# In /var/tmp, which is on disk: side by side, tests need more space than a small /tmp in memory has.
TEST_PROCESSES ?= 2
test: $(VENV)/.dev build/tensorrt/.fetched build/node-opcua/.fetched  ## all tests but the slow ones
	@scripts/need-packages $(TEST_PACKAGES)
	TMPDIR=/var/tmp $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not slow and not faults and not gpu and not systemd and not browser" \
	    --doctest-modules --durations 15 agent engines calibration tests

test-slow: $(VENV)/.dev  ## the tests that take minutes each
	@scripts/need-packages $(TEST_PACKAGES) chromium:chromium
	$(BIN)/python -m pytest -m slow

test-faults: $(VENV)/.dev  ## what may happen to alarms on their way, each of it many times over (half an hour; root for all of it)
	@scripts/need-packages $(TEST_PACKAGES) strace:strace gcc:cc
	SOAK_SECONDS=300 $(BIN)/python -m pytest -m faults
	INSPECTD_TEST_EXAMPLES=10000 $(BIN)/python -m pytest --timeout 1800 tests/agent/outputs/mqtt/test_requests.py -k test_any

test-soak: $(VENV)/.dev  ## an agent for an hour with a broker that is restarted every minute: memory, descriptors, threads (SOAK_SECONDS=600 for less)
	@scripts/need-packages mosquitto:mosquitto
	SOAK_SECONDS=$(or $(SOAK_SECONDS),3600) $(BIN)/python -m pytest -s tests/agent/service/test_soak.py

test-systemd: $(VENV)/.dev  ## the service on a real systemd, booted in a container (root; the first run builds a Debian)
	@scripts/need-packages debootstrap:debootstrap systemd-container:systemd-nspawn
	$(BIN)/python -m pytest -m systemd -s tests/systemd

# A browser that hangs is no reason for CI to wait.
PAGE_SECONDS ?= 600
test-page: $(VENV)/.dev  ## the page in Debian's Chromium: flows, accessibility, screenshots in build/page
	@scripts/need-packages mosquitto:mosquitto chromium:chromium fonts-noto-cjk:/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc
	timeout --kill-after=10 $(PAGE_SECONDS) $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "browser and not slow" tests/page

test-gpu: $(VENV)/.gpu  ## TensorRT, PyCUDA and the kernels, on an NVIDIA GPU
	$(BIN)/python -m pytest -rs tests/engines/runtime/tensorrt/test_pycuda_api.py tests/engines/runtime/tensorrt/test_cuda.py \
	    tests/engines/runtime/tensorrt/test_runner.py tests/engines/runtime/tensorrt/test_cuda_graph.py tests/engines/runtime/tensorrt/test_gpu_resize.py
	$(BIN)/python -m pytest -m gpu -rs tests/gpu tests/contracts

# The environment's own PyCUDA, and a driver that runs on the CPU.
ON_CPU := build/cuda-on-cpu
$(ON_CPU)/.built: tests/gpu/on_cpu/build.py tests/gpu/on_cpu/driver.cpp engines/runtime/tensorrt/kernels/frames.cu $(VENV)/.dev
	@$(NEED_COMPILER)
	$(BIN)/python tests/gpu/on_cpu/build.py $(ON_CPU)
	touch $@

test-cuda-on-cpu: $(ON_CPU)/.built build/tensorrt/.fetched  ## PyCUDA, kernels, buffers and graphs without a GPU (the first run builds PyCUDA: four minutes)
	for kind in '' ON_CPU_INTEGRATED=1; do \
	    env $$kind LD_LIBRARY_PATH=$(ON_CPU) PYTHONPATH=$(ON_CPU)/pycuda \
	    $(BIN)/python -m pytest -rs tests/gpu/test_cuda.py tests/engines/runtime/tensorrt/test_pycuda_api.py || exit; done

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test  ## what CI runs

bench: $(VENV)/.dev  ## engine alone and the whole loop, on the same frames
	$(BIN)/python -m benchmarks.loop

bench-engines: $(VENV)/.dev  ## the engines beside each other on this CPU, and what their settings are worth
	$(BIN)/python -m benchmarks.engines

bench-gpu: $(VENV)/.gpu  ## TensorRT beside PyTorch and ONNX Runtime on an NVIDIA GPU
	$(BIN)/python -m benchmarks.engines.gpu

bench-calibration: $(VENV)/.dev  ## is the false-alarm budget kept? (half an hour; QUICK=1 for minutes)
	$(BIN)/python -m benchmarks.calibration $(if $(QUICK),--quick)

# NVRTC compiles without a GPU. Its release decides how old a driver may be: 12.2 is JetPack 6's.
NVRTC := nvidia-cuda-nvrtc-cu12==12.2.140
kernels: $(VENV)/.base  ## compile the GPU's kernels anew, after a change of their source
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target build/nvrtc --upgrade $(NVRTC)
	$(BIN)/python scripts/compile-kernels build/nvrtc/nvidia/cuda_nvrtc/lib/libnvrtc.so.12

# Steps, not minutes, and one thread each: the same seed then gives the same model on the same machine.
BUNDLE_STEPS := 2000
bundles: $(VENV)/.dev  ## train the bundles that ship, on simulator frames (a quarter of an hour on two quiet cores)
	$(MAKE) --jobs 2 bundle-camera bundle-xray

# Simulated parts lie alike: the recipe `scratch` finds all of their defects, at a fifth of the cost of a frame.
bundle-%:
	rm -rf build/simulator-$* engines/bundles/shipped/simulator-$*.bundle
	$(BIN)/inspectd simulate build/simulator-$* --mode $* --count 1200 --seed 1000
	OMP_NUM_THREADS=1 $(BIN)/inspectd train --normal build/simulator-$*/train/good --out build/simulator-$*.bundle \
	    --recipe scratch --size 256 --steps $(BUNDLE_STEPS) --seed 0
	$(BIN)/inspectd bundle lean build/simulator-$*.bundle engines/bundles/shipped/simulator-$*.bundle

docs: $(VENV)/.dev  ## write the generated part of docs/ again
	$(BIN)/python -m agent.tools.message_docs

constraints: $(VENV)/.dev  ## resolve constraints.txt again for every Python that we support
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --all-extras --no-annotate --no-header pyproject.toml -o constraints.txt
	# A local build that this machine may have, torch's for the CPU, is not on PyPI: its release is what is pinned.
	sed -i -e '/^torch==[^ ]*+/d' -e 's/^\(torch==[^ ;]*\).*/\1/' constraints.txt

# The tool stays outside of our environment, of which it would otherwise become a part.
SBOM_TOOL := cyclonedx-bom==7.5.0
sbom: $(VENV)/.base  ## every package that may be installed with inspectd, as CycloneDX, in dist/inspectd.sbom.json
	$(BIN)/pip install --quiet uv
	mkdir -p dist
	$(BIN)/uv tool run --quiet --from '$(SBOM_TOOL)' cyclonedx-py requirements --pyproject pyproject.toml \
	    --output-reproducible --spec-version 1.6 --output-format JSON --output-file dist/inspectd.sbom.json constraints.txt

deb: $(VENV)/.base  ## a Debian package in dist/, wheels inside (ARCH=arm64 PYTHON=3.10 for another machine)
	packaging/build-deb dist

clean:  ## remove what make made
	rm -rf $(VENV) $(DEMO_OUT) build dist *.egg-info
