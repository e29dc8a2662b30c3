# Builds every image: docker buildx bake --file images/docker-bake.hcl (from the repository's root).

variable "BASE_IMAGE" {
  description = "Image with Python 3.11, venv and pip, pinned: name@sha256:digest."
  default     = ""
  validation {
    condition     = can(regex("^.+@sha256:[0-9a-f]{64}$", BASE_IMAGE))
    error_message = "Set BASE_IMAGE to an image with Python 3.11, pinned as name@sha256:digest."
  }
}

variable "REGISTRY" {
  description = "Registry and project that the images are pushed to."
  default     = "registry.bank.example/finist"
}

variable "TAG" {
  default = "0.1.0-python3.11"
}

variable "REVISION" {
  description = "The git commit."
  default     = "unknown"
}

variable "TORCH_BUILD" {
  description = "Build of torch in the images that compute: empty for the index's own (CUDA), or +cpu, +cu128 ..."
  default     = ""
}

variable "PIP_CONF" {
  description = "pip's configuration with the package index, mounted during the build only."
  default     = ""
}

group "default" {
  targets = ["image"]
}

target "image" {
  name       = set
  matrix     = { set = ["base", "train", "evaluate", "quantize", "app", "serve"] }
  context    = "."
  dockerfile = set == "serve" ? "images/serve/Dockerfile" : "images/Dockerfile"
  tags       = ["${REGISTRY}/${set}:${TAG}"]
  args = {
    BASE_IMAGE  = BASE_IMAGE
    SET         = set == "serve" ? null : set
    VERSION     = TAG
    REVISION    = REVISION
    TORCH_BUILD = contains(["train", "quantize"], set) ? TORCH_BUILD : null
  }
  secret = PIP_CONF == "" ? [] : ["id=pip.conf,src=${PIP_CONF}"]
  attest = ["type=sbom", "type=provenance,mode=max"]
}
