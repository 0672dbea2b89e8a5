// A CUDA driver with the few calls that we make; its one device is this CPU. Our kernels are compiled from their source.
//
// It is as strict as a real driver may be, so code that works with it works with any: a stream's work runs at the next
// synchronisation and not before; the host cannot use addresses of the device; only page-locked memory is copied; a
// thread that records must not wait or allocate; each call needs a context, and each handle is freed once. A mistake
// for which there is no error code ends the process with one line. With ON_CPU_INTEGRATED set, host and device share
// their memory, as on a Jetson.
#include <cuda.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

struct Place {
    int x, y, z;
};
static thread_local Place blockIdx, threadIdx, blockDim;
#define __global__
#define __device__
using std::rintf;
#include KERNELS_SOURCE

using Work = std::function<void()>;

struct CUctx_st {};
struct CUmod_st {};
struct CUfunc_st {
    std::string name, argument_types;
};
struct CUgraph_st {
    std::vector<Work> steps;
};
struct CUgraphExec_st {
    std::vector<Work> steps;
};
struct CUstream_st {
    std::deque<Work> queued;
    bool recording = false, spoiled = false;
    std::thread::id recorded_by;
    std::vector<Work> recorded;
};

namespace {

const CUdeviceptr DISTANCE = 1ULL << 60;  // from an address of the host to the device's
const size_t TOTAL_BYTES = 4ULL << 30;
const bool INTEGRATED = std::getenv("ON_CPU_INTEGRATED") != nullptr;

struct Pinned {
    size_t bytes;
    bool mapped;
};

std::recursive_mutex lock;
CUctx_st context;
CUmod_st module_of_kernels;
CUfunc_st functions[] = {{"shrink_8", "PiiPiiPPPiPPPi"}, {"shrink_16", "PiiPiiPPPiPPPi"}, {"widen_8", "PPi"}, {"widen_16", "PPi"}};
thread_local std::vector<CUcontext> bound;
std::set<CUstream> streams;
std::set<CUgraph> graphs;
std::set<CUgraphExec> executables;
std::map<CUdeviceptr, size_t> device_memory;
std::map<char *, Pinned> host_memory;
size_t used_bytes = 0;
CUresult broken = CUDA_SUCCESS;  // after an error of the device every call returns it

[[noreturn]] void end(const char *reason)
{
    std::fprintf(stderr, "CUDA on the CPU: %s\n", reason);
    std::abort();
}

void run(CUstream stream)
{
    for (; !stream->queued.empty(); stream->queued.pop_front())
        stream->queued.front()();
}

void run_all()
{
    for (CUstream stream : streams)
        run(stream);
}

// The error of a call that waits or allocates while its thread records; it spoils the recording.
CUresult forbidden()
{
    CUresult result = CUDA_SUCCESS;
    for (CUstream stream : streams)
        if (stream->recording && stream->recorded_by == std::this_thread::get_id()) {
            stream->spoiled = true;
            result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    return result;
}

// Every call begins with this check.
CUresult entry()
{
    return bound.empty() ? CUDA_ERROR_INVALID_CONTEXT : broken;
}

#define BEGIN                                                                                                          \
    std::lock_guard<std::recursive_mutex> guard(lock);                                                                 \
    if (CUresult result = entry())                                                                                     \
        return result;
#define BEGIN_UNLESS_RECORDING                                                                                         \
    BEGIN if (CUresult result = forbidden()) return result;

CUresult queue(CUstream stream, Work work)
{
    if (streams.count(stream) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    if (stream->recording)
        stream->recorded.push_back(work);
    else
        stream->queued.push_back(work);
    return CUDA_SUCCESS;
}

// The memory at an address of the device; all of it must be allocated.
template <typename T = char>
T *behind(CUdeviceptr address, size_t bytes = 1)
{
    char *memory = reinterpret_cast<char *>(address - DISTANCE);
    for (auto &[start, size] : device_memory)
        if (address >= start && address + bytes <= start + size)
            return reinterpret_cast<T *>(memory);
    for (auto &[start, pinned] : host_memory)
        if (pinned.mapped && memory >= start && memory + bytes <= start + pinned.bytes)
            return reinterpret_cast<T *>(memory);
    end("an address outside the memory of the device");
}

void want_pinned(const void *memory, size_t bytes)
{
    auto place = static_cast<const char *>(memory);
    for (auto &[start, pinned] : host_memory)
        if (place >= start && place + bytes <= start + pinned.bytes)
            return;
    end("memory that is not page-locked");
}

// The arguments of a launch, each at a multiple of its size.
std::vector<CUdeviceptr> unpack(const std::string &types, const char *packed, size_t bytes)
{
    std::vector<CUdeviceptr> values;
    size_t at = 0;
    for (char type : types) {
        size_t width = type == 'P' ? 8 : 4;
        at = (at + width - 1) / width * width;
        CUdeviceptr value = 0;
        if (at + width > bytes)
            end("too few arguments");
        std::memcpy(&value, packed + at, width);
        values.push_back(value);
        at += width;
    }
    if (at != bytes)
        end("too many arguments");
    return values;
}

template <typename Sample>
void call(const std::string &name, const std::vector<CUdeviceptr> &a)
{
    if (name.find("widen") == 0)
        widen<Sample>(behind<Sample>(a[0]), behind<float>(a[1]), int(a[2]));
    else
        shrink<Sample>(behind<Sample>(a[0]), int(a[1]), int(a[2]), behind<Sample>(a[3]), int(a[4]), int(a[5]),
                       behind<int>(a[6]), behind<int>(a[7]), behind<float>(a[8]), int(a[9]), behind<int>(a[10]),
                       behind<int>(a[11]), behind<float>(a[12]), int(a[13]));
}

}  // namespace

extern "C" {

// Tests break the device with this call.
void on_cpu_break(int code)
{
    broken = CUresult(code);
}

CUresult cuInit(unsigned)
{
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice)
{
    std::snprintf(name, size_t(length), "a CPU");
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice)
{
    *major = 8, *minor = 7;
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice)
{
    *bytes = TOTAL_BYTES;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice)
{
    *value = attribute == CU_DEVICE_ATTRIBUTE_INTEGRATED ? INTEGRATED : 1;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *retained, CUdevice)
{
    *retained = &context;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice)
{
    return CUDA_SUCCESS;
}

// The caller does not own this context and cannot detach it.
CUresult cuCtxDetach(CUcontext)
{
    return CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxPushCurrent(CUcontext pushed)
{
    bound.push_back(pushed);
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *popped)
{
    if (bound.empty())
        return CUDA_ERROR_INVALID_CONTEXT;
    if (popped != nullptr)
        *popped = bound.back();
    bound.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return entry();
}

CUresult cuCtxSynchronize()
{
    BEGIN_UNLESS_RECORDING
    run_all();
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned)
{
    BEGIN
    streams.insert(*stream = new CUstream_st);
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream)
{
    BEGIN
    if (streams.count(stream) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    run(stream);
    streams.erase(stream);
    delete stream;
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream)
{
    BEGIN_UNLESS_RECORDING
    if (streams.count(stream) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    run(stream);
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    BEGIN
    *free_bytes = TOTAL_BYTES - used_bytes, *total_bytes = TOTAL_BYTES;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes)
{
    BEGIN_UNLESS_RECORDING
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (used_bytes + bytes > TOTAL_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    void *memory = std::malloc(bytes);
    std::memset(memory, 0xCD, bytes);
    *address = reinterpret_cast<CUdeviceptr>(memory) + DISTANCE;
    device_memory[*address] = bytes;
    used_bytes += bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemFree(CUdeviceptr address)
{
    BEGIN_UNLESS_RECORDING
    auto found = device_memory.find(address);
    if (found == device_memory.end())
        return CUDA_ERROR_INVALID_VALUE;
    run_all();
    used_bytes -= found->second;
    std::free(reinterpret_cast<void *>(address - DISTANCE));
    device_memory.erase(found);
    return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    BEGIN_UNLESS_RECORDING
    *memory = std::malloc(bytes);
    std::memset(*memory, 0xEF, bytes);
    host_memory[static_cast<char *>(*memory)] = {bytes, (flags & CU_MEMHOSTALLOC_DEVICEMAP) != 0};
    return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *memory)
{
    BEGIN_UNLESS_RECORDING
    if (host_memory.erase(static_cast<char *>(memory)) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    run_all();
    std::free(memory);
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr *address, void *memory, unsigned)
{
    BEGIN
    auto found = host_memory.find(static_cast<char *>(memory));
    if (found == host_memory.end() || !found->second.mapped)
        return CUDA_ERROR_INVALID_VALUE;
    *address = reinterpret_cast<CUdeviceptr>(memory) + DISTANCE;
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void *source, size_t bytes, CUstream stream)
{
    BEGIN
    want_pinned(source, bytes);
    return queue(stream, [=] { std::memcpy(behind(target, bytes), source, bytes); });
}

CUresult cuMemcpyDtoHAsync(void *target, CUdeviceptr source, size_t bytes, CUstream stream)
{
    BEGIN
    want_pinned(target, bytes);
    return queue(stream, [=] { std::memcpy(target, behind(source, bytes), bytes); });
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, CUjit_option *, void **)
{
    BEGIN
    *module = &module_of_kernels;
    return std::strstr(static_cast<const char *>(image), ".visible .entry widen_8(") ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

CUresult cuModuleUnload(CUmodule)
{
    return entry();
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name)
{
    BEGIN
    for (CUfunc_st &known : functions)
        if (known.name == name) {
            *function = &known;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

CUresult cuFuncSetBlockShape(CUfunction, int, int, int)
{
    return entry();
}

CUresult cuLaunchKernel(CUfunction function, unsigned columns, unsigned rows, unsigned layers, unsigned threads,
                        unsigned deep, unsigned high, unsigned, CUstream stream, void **, void **extra)
{
    BEGIN
    // The limits of every GPU since 2010.
    if (rows > 65535 || layers != 1 || deep != 1 || high != 1 || threads > 1024 || columns == 0 || rows == 0)
        return CUDA_ERROR_INVALID_VALUE;
    const char *packed = nullptr;
    size_t bytes = 0;
    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2)
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            packed = static_cast<const char *>(extra[1]);
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = *static_cast<size_t *>(extra[1]);
    auto arguments = unpack(function->argument_types, packed, bytes);
    auto kernel = function->name.back() == '8' ? call<unsigned char> : call<unsigned short>;
    return queue(stream, [=, name = function->name] {
        blockDim = {int(threads), 1, 1};
        for (int row = 0; row < int(rows); row++)
            for (int column = 0; column < int(columns); column++)
                for (int thread = 0; thread < int(threads); thread++) {
                    blockIdx = {column, row, 0}, threadIdx = {thread, 0, 0};
                    kernel(name, arguments);
                }
    });
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
    BEGIN
    if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        end("a recording mode that disturbs other threads");
    if (streams.count(stream) == 0 || stream->recording)
        return CUDA_ERROR_ILLEGAL_STATE;
    stream->recording = true, stream->spoiled = false;
    stream->recorded_by = std::this_thread::get_id();
    stream->recorded.clear();
    return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    *graph = nullptr;
    if (streams.count(stream) == 0 || !stream->recording)
        return CUDA_ERROR_ILLEGAL_STATE;
    if (stream->recorded_by != std::this_thread::get_id())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    stream->recording = false;
    if (stream->spoiled)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    graphs.insert(*graph = new CUgraph_st{stream->recorded});
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long)
{
    BEGIN
    if (graphs.count(graph) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    executables.insert(*executable = new CUgraphExec_st{graph->steps});
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (graphs.erase(graph) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    delete graph;
    return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec executable)
{
    BEGIN
    if (executables.erase(executable) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    delete executable;
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream)
{
    BEGIN
    if (executables.count(executable) == 0 || streams.count(stream) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (const Work &step : executable->steps)
        stream->queued.push_back(step);
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult code, const char **name)
{
    switch (code) {
    case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: *name = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    default: *name = "CUDA_ERROR_OF_ANOTHER_KIND";
    }
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult code, const char **text)
{
    switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY: *text = "out of memory"; break;
    case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
    case CUDA_ERROR_LAUNCH_FAILED: *text = "unspecified launch failure"; break;
    default: *text = "another error";
    }
    return CUDA_SUCCESS;
}

}  // extern "C"
