"""What torch says of itself. Run by the image's own interpreter, whatever its version from 3.8 on."""

import json

import torch

about = {
    "torch": str(torch.__version__),
    "cuda": str(torch.version.cuda),
    "hip": str(getattr(torch.version, "hip", None)),
    "cudnn": str(torch.backends.cudnn.version()),
    "architectures": " ".join(torch.cuda.get_arch_list()) or "none",  # as on a machine without a GPU
    "devices": ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())) or "none",
}
print("slimmer-probe: " + json.dumps({"about": about, "cases": {}}), flush=True)
