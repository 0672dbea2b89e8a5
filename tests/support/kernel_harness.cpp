// Runs the GPU's kernels on the CPU: the same source, one thread after the other.
#include <cmath>

struct Place {
    int x, y, z;
};
static Place blockIdx, threadIdx, blockDim;
#define __global__
#define __device__
using std::rintf;

#include KERNELS_SOURCE

template <typename Kernel, typename... Arguments>
static void launch(int blocks, int rows, int threads, Kernel kernel, Arguments... arguments)
{
    blockDim = {threads, 1, 1};
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < blocks; x++)
            for (int thread = 0; thread < threads; thread++) {
                blockIdx = {x, y, 0};
                threadIdx = {thread, 0, 0};
                kernel(arguments...);
            }
}

#define HARNESS(bits, Sample)                                                                                          \
    extern "C" void run_shrink_##bits(                                                                                 \
        int blocks, int rows, int threads, const Sample *source, int source_width, int channels, Sample *target,       \
        int width, int height, const int *row_first, const int *row_count, const float *row_weight, int row_stride,    \
        const int *column_first, const int *column_count, const float *column_weight, int column_stride)               \
    {                                                                                                                  \
        launch(blocks, rows, threads, shrink_##bits, source, source_width, channels, target, width, height, row_first, \
               row_count, row_weight, row_stride, column_first, column_count, column_weight, column_stride);           \
    }                                                                                                                  \
    extern "C" void run_widen_##bits(int blocks, int rows, int threads, const Sample *source, float *target, int count) \
    {                                                                                                                  \
        launch(blocks, rows, threads, widen_##bits, source, target, count);                                            \
    }

HARNESS(8, unsigned char)
HARNESS(16, unsigned short)
