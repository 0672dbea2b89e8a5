// Steps on the GPU before the network: shrinking by area, and raw counts to float32.
//
// `make kernels` compiles this file to frames.ptx in the same folder. Devices load that file and the driver translates it
// for its own GPU, so no device needs a CUDA compiler. engines/images/shrinking.py makes the tables and defines the rule.

// One thread per sample of the shrunk image; neighbours in a warp read neighbours in a row.
template <typename Sample>
__device__ void shrink(const Sample *source, int source_width, int channels, Sample *target, int width, int height,
                       const int *row_first, const int *row_count, const float *row_weight, int row_stride,
                       const int *column_first, const int *column_count, const float *column_weight, int column_stride)
{
    int place = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y;
    if (place >= width * channels || y >= height)
        return;
    int x = place / channels, channel = place % channels;
    const float *across = column_weight + x * column_stride;
    float mean = 0.0f;
    for (int i = 0; i < row_count[y]; i++) {
        const Sample *row = source + ((long long)(row_first[y] + i) * source_width + column_first[x]) * channels + channel;
        float sum = 0.0f;
        for (int j = 0; j < column_count[x]; j++)
            sum += across[j] * (float)row[j * channels];
        mean += row_weight[y * row_stride + i] * sum;
    }
    target[(long long)y * width * channels + place] = (Sample)rintf(mean);
}

template <typename Sample>
__device__ void widen(const Sample *source, float *target, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        target[i] = (float)source[i];
}

#define KERNELS(bits, Sample)                                                                                          \
    extern "C" __global__ void shrink_##bits(                                                                          \
        const Sample *source, int source_width, int channels, Sample *target, int width, int height,                   \
        const int *row_first, const int *row_count, const float *row_weight, int row_stride, const int *column_first,  \
        const int *column_count, const float *column_weight, int column_stride)                                        \
    {                                                                                                                  \
        shrink<Sample>(source, source_width, channels, target, width, height, row_first, row_count, row_weight,        \
                       row_stride, column_first, column_count, column_weight, column_stride);                          \
    }                                                                                                                  \
    extern "C" __global__ void widen_##bits(const Sample *source, float *target, int count)                            \
    {                                                                                                                  \
        widen<Sample>(source, target, count);                                                                          \
    }

KERNELS(8, unsigned char)
KERNELS(16, unsigned short)
