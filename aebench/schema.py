"""The columns of the seven result tables: name, type and meaning of each, in one place.

Worker, store, report and documentation all read this list, so a column cannot mean two things.
How the tables reach the disk is the store's business.
"""

from __future__ import annotations

from dataclasses import dataclass

# Raised with every column added, lest an older aebench fold a newer table without it.
VERSION = 6
# What a table that lacks a column means by it, where that is not null: written before it was added.
ABSENT: dict[str, str | float] = {
    **dict.fromkeys(("code", "pixels", "options", "weights_sha256", "resumed", "keeping_note"), ""),
    **dict.fromkeys(("momentum", "weight_decay", "warmup", "clip_gradient"), 0.0),
    "optimizer": "adam",
}
# Parts of a job, each timed in a column of its own, and those that a first training costs.
PHASES = ("data", "build", "compile", "warmup", "train", "eval", "baseline", "samples", "probe")
COLD_PHASES = ("build", "compile", "warmup", "train")
# What a model is given: the kinds of samples, of which the last two are probed as well.
RECONSTRUCTION, DENOISING, STRANGERS = "reconstruction", "denoising", "out-of-distribution"
# A grid of codes of two numbers, decoded: a kind of samples to which nothing is fed in.
DECODED_GRID = "decoded grid"
# The column `kind` of the table `codes`.
CODE_OF_IMAGE, CODE_OF_GRID = "test image", "grid"
# A code compresses where the image has at least so many times its numbers: near its full size
# every linear code is perfect, which no trained model reaches.
COMPRESSES = 1.5
# The column `kind` of the table `probes`, and what each is.
PROBE_KINDS = {
    DENOISING: "test images with Gaussian noise of several amplitudes, unclipped: how near to the"
    " clean ones the model brings them",
    STRANGERS: "photographs and the images of other datasets: how much worse the model"
    " reconstructs what it was not trained on",
}


def noisy_kind(amplitude: float) -> str:
    """The kind of a sample whose inputs had noise of this amplitude: denoising 0.3."""
    return f"{DENOISING} {amplitude}"


def amplitude_of(kind: str) -> float | None:
    """The amplitude in the kind of a sample, as `noisy_kind` writes it; None in other kinds."""
    name, _, amplitude = kind.partition(" ")
    return float(amplitude) if name == DENOISING and amplitude else None


@dataclass(frozen=True)
class Column:
    """One column: `kind` is a pyarrow type; `about` says what it holds, and when it is null."""

    name: str
    kind: str
    about: str


def _columns(text: str) -> tuple[Column, ...]:
    rows = (line.split("|") for line in text.strip().splitlines())
    return tuple(Column(*(cell.strip() for cell in row)) for row in rows)


JOBS = _columns("""
key | string | content key of the job: what it is, not where or when it ran
architecture | string | family of autoencoders
dataset | string | data set
latent | int64 | the study's latent-size: code width of an MLP, code channels of a conv
depth | int64 | encoder layers up to and including the code
options | string | options of the architecture that are not its defaults; empty where none is
seed | int64 | seeds initial weights, split and order
protocol | string | named training settings the job started from
epochs | int64 | passes over the training split
batch_size | int64 | images per training step
learning_rate | float64 | the optimizer's step size
schedule | string | how the learning rate goes on: constant, or cosine down to zero
order | string | order of the training images: fixed, or shuffled anew each epoch
optimizer | string | which of torch's optimizers: adam, adamw, sgd or rmsprop
momentum | float64 | momentum of sgd and rmsprop
weight_decay | float64 | pull of the weights towards 0: in the gradients, but by adamw apart
warmup | float64 | share of the steps over which the learning rate rises to learning_rate
clip_gradient | float64 | largest norm of the gradients together; 0 where they are not scaled down
train_noise | float64 | amplitude of Gaussian noise added to the inputs while training
engine | string | how the training steps were executed
engine_choice | string | given, or auto: chosen by aebench for the job, and why
precision | string | arithmetic asked for: fp32, tf32, bf16, or bf16x3: three of bf16 for one
device | string | cpu or cuda
repeat | int64 | number of the timing repetition; same seed, same result
code | string | hash, or declared version, of an architecture's code; empty for aebench's own
pixels | string | start of data_sha256 of a data set that a plugin registered; else empty
settings_from | string | where the settings come from: the study, or the search whose entry they are
modified | string | settings that depart from the named protocol; empty where none does
status | string | ok, failed, out_of_memory, timed_out, diverged, killed or skipped
reason | string | why the status is not ok; empty where it is
study_error | float64 | sum over the full test batches of 128 of the batch's MSE; null without one
mse | float64 | mean squared error per pixel over the whole test set, pixels in [0, 1]
psnr_db | float64 | 10 log10(1 / mse)
val_mse | float64 | mean squared error over the whole validation split after the last epoch
train_mse | float64 | train_loss where that is the MSE; null for a model with a loss of its own
train_loss | float64 | mean loss over the steps of the last epoch, while the weights still moved
mean_mse | float64 | test error of the mean training image: no latent at all
pca_mse | float64 | test error of PCA with as many components as this job's bottleneck
luma_mse | float64 | mean squared error of the luma Y (ITU-R BT.601); null for grey images
chroma_mse | float64 | mean squared error of the chroma Cb and Cr (BT.601); null for grey images
luma_variance | float64 | luma error of flat images of the right brightness; null for grey images
chroma_variance | float64 | chroma error of the test set's mean tint; null for grey images
sharpness | float64 | energy of the Laplacian of the outputs over that of the originals
code_accuracy | float64 | test accuracy of a linear probe fitted to the codes; see code_note
pca_code_accuracy | float64 | the same of PCA's codes of as many numbers, fitted to the same images
code_note | string | why the code was not probed, or not drawn; empty where it was; null if older
input_size | int64 | numbers per image: channels x height x width
parameters | int64 | trainable parameters
bottleneck | int64 | numbers per image that pass through the code, measured on the encoder
compression | float64 | input_size / bottleneck
flops_per_step | int64 | floating-point operations of one training step, 2 per multiply-add
skipped_flops_per_step | int64 | of them those left out, on average, since a factor is a pixel of 0
steps | int64 | training steps taken, read from the optimizer where it counts them
train_images | int64 | images in the training split
data_s | float64 | seconds to have the data in memory and on the device
build_s | float64 | seconds to build and measure the model
compile_s | float64 | seconds spent compiling; 0 for engines that do not compile
warmup_s | float64 | seconds of warm-up steps, whose effect is undone
train_s | float64 | seconds of training proper: first step to last, device synchronized
loading_s | float64 | seconds of train_s spent waiting for a data loader; null where there is none
eval_s | float64 | seconds of validation and test
baseline_s | float64 | seconds to compute or read the exact baselines
samples_s | float64 | seconds to make the sample pictures
probe_s | float64 | seconds to probe the trained model: noise, foreign images, appearance
cold_s | float64 | what a first training costs: build_s + compile_s + warmup_s + train_s
device_train_s | float64 | train_s by the accelerator's own clock; null on a CPU
total_s | float64 | seconds from taking the job to having its record
images_per_s | float64 | images trained on per second of train_s
gflops | float64 | rate of the arithmetic really done while training, 1e9 operations per second
peak_gflops | float64 | rate of a large matrix product here, at this precision: a measured peak
flop_floor_s | float64 | seconds the arithmetic really done takes at peak_gflops
roofline_fraction | float64 | flop_floor_s / train_s; fast convolution may reach more than 1
peak_device_bytes | int64 | most accelerator memory held; null on a CPU
peak_host_bytes | int64 | most memory the worker process has held so far
concurrent | bool | whether other jobs of the run shared the machine: times not comparable
position | int64 | place in the order of the run, from 1; null if the job ran by itself
process_id | string | of the worker process: its number and a random one, the same in no other
noise_before_s | float64 | seconds of a fixed piece of work just before training: the noise probe
noise_after_s | float64 | seconds of the same piece of work just after training
steal_s | float64 | CPU seconds the host gave to others while training; null where unknown
pressure_s | float64 | seconds some task waited for a CPU while training; null where unknown
throttled_s | float64 | seconds a CPU quota held training up; null without cgroups
involuntary_switches | int64 | times the system took a CPU from the worker while training
energy_j | float64 | joules of the GPU, first epoch to last; null below 5 s or if it tells nothing
clock_events | string | why the GPU lowered its clock while training; null where it tells nothing
gpu_processes | int64 | other processes computing on the GPU; null where it tells nothing
threads | int64 | threads torch computed with
engine_note | string | how and why the engine ran otherwise than its name says; empty if it did not
resumed | string | epochs after which training went on from a checkpoint; empty where never stopped
rates_note | string | why rates has no rows of the model; empty where it has, null in older records
weights_sha256 | string | checksum of the kept file of trained weights; empty where none was kept
keeping_note | string | weights or checkpoints that could not be stored or used, and why; else empty
batch_members | int64 | jobs trained as one model, each with its share of their seconds, or null
amortised_train_s | float64 | in place of train_s for jobs trained as one model: their time shared
precision_read | string | precision settings as read back from torch, and how bf16 is computed
kernels | string | what computed the layers, by kind: linear=native; torch where torch's own did
load_1m | float64 | load average of the last minute when the job started; null on Windows
data_source | string | where the data came from
data_sha256 | string | checksum of the pixels, train and test
machine_id | string | hash of the hardware and system description
device_name | string | model name of the CPU or GPU computed on
cpu_name | string | model name of the CPU
cpu_details | string | which CPU of that name, and its vector instructions; null where unknown
cores | int64 | CPU cores this process may use
memory_bytes | int64 | main memory of the machine
system | string | operating system and its architecture
governor | string | what chooses the clock of the CPUs that the process may use, as Linux says
turbo | bool | whether their clock may rise above its nominal rate; null where unknown
smt | bool | whether cores run two threads of the hardware at once; null where unknown
physical_cores | int64 | cores that the CPUs of this process are threads of; null where unknown
numa_nodes | int64 | nodes of memory on which these CPUs lie; null where unknown
microcode | string | revision of the CPU's microcode; null where unknown
compiler | string | C++ compiler here, which engine native calls; null without one
openmp | string | OpenMP runtimes loaded, and variables that set them; null where unknown
torch_build | string | with what torch was built, and the instructions that it uses here
driver | string | driver of the accelerator; empty on a CPU
torch | string | version of torch
python | string | version of Python
aebench | string | version of aebench
commit | string | git commit of aebench, with +changes if the tree was not clean; empty if unknown
command | string | command line that asked for the job
started_at | string | when the job started, UTC, ISO 8601
""")

EPOCHS = _columns("""
key | string | content key of the job
epoch | int64 | 1 is the first
train_mse | float64 | train_loss where that is the MSE; null for a model with a loss of its own
train_loss | float64 | mean loss over the steps of the epoch; null in older records
val_mse | float64 | error over the whole validation split after the epoch
train_s | float64 | seconds of training in the epoch
device_train_s | float64 | the same by the accelerator's own clock; null on a CPU
val_s | float64 | seconds of validation after it
""")

SAMPLES = _columns("""
key | string | content key of the job
kind | string | reconstruction, denoising 0.3, denoising 0.8, out-of-distribution, decoded grid
images | int64 | images side by side in each strip
input_png | binary | PNG strip of the inputs; null for a grid, which is decoded from codes
output_png | binary | PNG strip of the outputs
mse | float64 | mean squared error per pixel over the images of the strip, against clean images
""")

CODES = _columns("""
key | string | content key of the job, whose code has two numbers
kind | string | test image, or grid: a code that was decoded into the sample `decoded grid`
place | int64 | place of the image in the test set, or of the picture in the grid, row by row
label | int64 | label of the image; null where there is none
first | float64 | the code's first number
second | float64 | the code's second number
""")

PROBES = _columns("""
key | string | content key of the job
kind | string | denoising, or out-of-distribution
input | string | what was fed in: test images, a photograph, or another data set's test images
amplitude | float64 | standard deviation of the Gaussian noise added, unclipped; null where none is
images | int64 | images fed in, the first of theirs; 0 where the data set was not in the cache
mse | float64 | mean squared error per pixel of the outputs against the clean images
psnr_db | float64 | 10 log10(1 / mse)
input_mse | float64 | error of the noisy images themselves; null where no noise is added
clipped_mse | float64 | error of the noisy images clipped to [0, 1]; null where no noise is added
mean_mse | float64 | error of the mean training image, whatever was fed in
flat_mse | float64 | error of the best flat images: the variance within the clean ones
""")

BASELINES = _columns("""
dataset | string | data set
seed | int64 | seed of the split whose training images the baseline was fitted to
components | int64 | principal components kept; 0 is the mean image
mse | float64 | mean squared error per pixel over the whole test set
""")

RATES = _columns("""
key | string | content key of the job; null in rows of PCA and of picture formats
dataset | string | data set
seed | int64 | seed of the split, on whose validation images a quantizer and its tables are learned
codec | string | model, pca, or a format of picture files: jpeg, webp, png
bottleneck | int64 | numbers of the code, of PCA its components; null for picture files
bits | int64 | bits of each number; 32 is the code as it is, in float32; null for picture files
quality | int64 | quality asked of Pillow; null for codes, and for picture files without loss
images | int64 | images coded, the first of the test set
bytes_per_image | float64 | of an ideal arithmetic coder with these tables, or of files with headers
fixed_bytes_per_image | float64 | bits x bottleneck / 8: each number alike; null for picture files
decoder_bytes | int64 | decoder's weights in float32, uncounted above; null for picture files
mse | float64 | mean squared error per pixel of what is decoded, pixels in [0, 1]
ssim | float64 | structural similarity (Wang et al. 2004), mean; null for images below 3 pixels
""")
