"""The peer img2dataset: downloads images, makes JPEGs of quality 80 of 720 and 256 pixels, writes them
to a folder, and prints what it took as one line of JSON. `python collect.py URL COUNT FOLDER`, where the
images are at URL/0.jpg and so on.

Tuned: its downloader is called in this process, without the pool of processes round it; no captions, no
EXIF, no hashes, no disallowed headers, 32 threads that download. It makes one size a run, so its resizer
is asked twice for each image, which spares it the second download. The clock runs from the first request
to the last file, so that starting Python counts nowhere.
"""

import json
import os
import sys
import time

# A library of it asks the network whether there is a newer one.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import cv2  # noqa: E402
import pyarrow as pa  # noqa: E402
from img2dataset.downloader import Downloader  # noqa: E402
from img2dataset.resizer import Resizer  # noqa: E402
from img2dataset.writer import FilesSampleWriter  # noqa: E402

LARGE_PX = 720
SMALL_PX = 256
QUALITY = 80
THREADS = 32


class BothSizes:
    """The large size goes to the writer, the small one to a file of its own."""

    def __init__(self, folder):
        self.large = self.resizer(LARGE_PX)
        self.small = self.resizer(SMALL_PX)
        self.folder = folder
        self.made = 0

    @staticmethod
    def resizer(side):
        return Resizer(
            image_size=side,
            resize_mode="keep_ratio",
            resize_only_if_bigger=True,
            upscale_interpolation="lanczos",
            downscale_interpolation="area",
            encode_quality=QUALITY,
            encode_format="jpg",
        )

    def __call__(self, stream, blurring_bbox_list=None):
        small, *_, error = self.small(stream, blurring_bbox_list)
        if error is not None:
            return None, None, None, None, None, error
        with open(os.path.join(self.folder, f"small-{self.made}.jpg"), "wb") as file:
            file.write(small)
        stream.seek(0)
        large = self.large(stream, blurring_bbox_list)
        self.made += large[-1] is None
        return large


def shard(urls, folder):
    """The list of what is downloaded, as img2dataset writes it for its processes."""
    path = os.path.join(folder, "shard.feather")
    table = pa.table({"url": urls})
    with pa.OSFile(path, "wb") as sink, pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def peak_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: collect.py URL COUNT FOLDER")
    url, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    cv2.setNumThreads(1)
    resizer = BothSizes(folder)
    download = Downloader(
        sample_writer_class=FilesSampleWriter,
        resizer=resizer,
        thread_count=THREADS,
        save_caption=False,
        extract_exif=False,
        output_folder=folder,
        column_list=["url"],
        timeout=30,
        number_sample_per_shard=count,
        oom_shard_count=1,
        compute_hash=None,
        verify_hash_type=None,
        encode_format="jpg",
        retries=0,
        user_agent_token=None,
        disallowed_header_directives=None,
    )
    path = shard([f"{url}/{number}.jpg" for number in range(count)], folder)
    cpu, wall = time.process_time(), time.monotonic()
    done, _ = download((0, path))
    took = {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall}
    if not done:
        sys.exit("img2dataset failed")
    print(json.dumps({"images": resizer.made, "took": took, "peak_bytes": peak_bytes()}))


main()
