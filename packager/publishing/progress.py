"""How far a transfer is, in words."""


def progress_line(moved: int, total: int, elapsed_s: float) -> str:
    """As in `120 of 250 MB, 48 %, 12.0 MB/s, 11 s left`."""
    rate = moved / elapsed_s if elapsed_s > 0 else 0.0
    percent = 100 * moved // total if total else 100
    text = f"{_size(moved)} of {_size(total)}, {percent} %, {rate / 1e6:.1f} MB/s"
    if rate > 0 and moved < total:
        text += f", {_time((total - moved) / rate)} left"
    return text


def _size(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.2f} MB"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{max(whole, 1)} s"
    return f"{whole // 60} min {whole % 60:02} s"
