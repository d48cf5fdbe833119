"""What both stages share: processes that train together, the optimiser, checkpoints that survive a kill at any moment, and logs."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

import data

RUNS = Path(os.environ.get('RUNS', Path(__file__).parent / 'runs'))
PORT = 29511


def launch(worker, args) -> None:
    """Runs `worker(rank, args)` in `args.processes` processes of one thread each: on few cores faster than one process with threads."""
    RUNS.mkdir(exist_ok=True, parents=True)
    if args.processes == 1:
        _start(0, worker, args)
    else:
        multiprocessing.spawn(_start, (worker, args), nprocs=args.processes)


def _start(rank, worker, args) -> None:
    if args.device == 'cpu':
        torch.set_num_threads(1)
    if args.processes > 1:
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(args.port))
        dist.init_process_group('gloo', rank=rank, world_size=args.processes, timeout=timedelta(hours=12))
    worker(rank, args)


def together() -> None:
    """Waits for the other processes."""
    if dist.is_initialized():
        dist.barrier()


def generator(*seed: int) -> torch.Generator:
    """Random numbers that follow from the numbers of seed, process and step alone, so that a resumed run draws what the killed one would have."""
    value = 0
    for part in seed:
        value = (value * 1_000_003 + part + 1) % (2**61 - 1)
    return torch.Generator().manual_seed(value)


class Trainer:
    """
    AdamW on a network in bfloat16, whose float32 master weights, moments and moving average are four flat vectors.

    The learning rate rises over `warmup` steps, stays, and falls to zero (linearly) over the last `decay` of `steps` steps.
    """

    def __init__(self, network, folder: Path, rate: float, average: float, steps: int, decay: int, warmup: int = 100):
        self.network, self.folder = network, folder
        self.rate, self.average, self.steps, self.decay, self.warmup = rate, average, steps, decay, warmup
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        self.master = torch.cat([p.detach().float().flatten() for p in self.parameters])
        self.state = dict(ema=self.master.clone(), first=torch.zeros_like(self.master), second=torch.zeros_like(self.master))
        self.step, self.seconds = 0, 0.0
        self._began = time.time()
        path = folder / 'checkpoint.pt'
        if path.exists():
            saved = torch.load(path, map_location=self.device)
            self.step, self.seconds = saved.pop('step'), saved.pop('seconds')
            self.master = saved.pop('master')
            self.state = saved
        network.bfloat16()
        self.work = torch.empty_like(self.master, dtype=torch.bfloat16)
        self.gradient = torch.zeros_like(self.work)
        start = 0
        for parameter in self.parameters:
            part = slice(start, start + parameter.numel())
            parameter.data = self.work[part].view(parameter.shape)
            parameter.grad = self.gradient[part].view(parameter.shape)
            start = part.stop
        self.work.copy_(self.master)

    def learn(self) -> float:
        """One step along the gradients gathered since the last one; returns their norm."""
        gradient = self.gradient.float()
        if dist.is_initialized():
            dist.all_reduce(gradient)
            gradient /= dist.get_world_size()
        self.gradient.zero_()
        length = gradient.norm().item()
        if length == length and length < 1e4:  # a step that is not finite is left out
            self.step += 1
            gradient *= min(1.0, 1.0 / (length + 1e-6))
            rate = self.rate * min(1, self.step / self.warmup, max(0, self.steps - self.step) / max(1, self.decay))
            at = torch.tensor(float(self.step))
            torch._fused_adamw_(
                *([self.master], [gradient], [self.state['first']], [self.state['second']], [], [at]),
                **dict(lr=rate, beta1=0.9, beta2=0.99, weight_decay=0.01, eps=1e-8, amsgrad=False, maximize=False),
            )
            self.work.copy_(self.master)
            share = 1 - min(self.average, (1 + self.step) / (10 + self.step))
            self.state['ema'].lerp_(self.master, share)
        return length

    def with_average(self, run):
        """`run()` with the averaged weights."""
        self.work.copy_(self.state['ema'])
        with torch.no_grad():
            result = run()
        self.work.copy_(self.master)
        return result

    def save(self) -> None:
        """Writes the checkpoint so that at any moment a complete one exists."""
        now = time.time()
        self.seconds, self._began = self.seconds + now - self._began, now
        new = self.folder / 'checkpoint.new'
        torch.save(dict(master=self.master, step=self.step, seconds=self.seconds, **self.state), new)
        new.replace(self.folder / 'checkpoint.pt')

    def minutes(self) -> float:
        return (self.seconds + time.time() - self._began) / 60

    def averaged(self) -> dict:
        """The averaged weights by name, in float32."""
        parts = self.state['ema'].cpu().split([p.numel() for p in self.parameters])
        names = [name for name, p in self.network.named_parameters() if p.requires_grad]
        return {name: part.view(p.shape).clone() for name, part, p in zip(names, parts, self.parameters)}

    def log(self, **values) -> None:
        line = dict(step=self.step, minutes=round(self.minutes(), 2), **values)
        with open(self.folder / 'log.jsonl', 'a') as file:
            file.write(json.dumps(line) + '\n')
        print(json.dumps(line), flush=True)


def pool(rank: int, count: int, start: int = 0) -> data.Clips:
    """`count` training clips from number `start`, rendered once and kept on disk in parts, which the processes share out."""
    part, world = 1024, dist.get_world_size() if dist.is_initialized() else 1
    folder = RUNS / 'clips'
    folder.mkdir(exist_ok=True)
    paths = []
    for index, first in enumerate(range(start, start + count, part)):
        paths.append(folder / f'{first}.pt')
        if index % world == rank and not paths[-1].exists():
            torch.save(vars(data.render('train', first, min(part, start + count - first))), paths[-1].with_suffix('.new'))
            paths[-1].with_suffix('.new').replace(paths[-1])
    together()
    parts = [torch.load(path, mmap=True) for path in paths]
    return parts
