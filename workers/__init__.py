"""The Celery side: application, execution of batches, beat, result backend, and the dispatcher process."""
